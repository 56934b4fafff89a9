// SPDX-License-Identifier: MIT
/*
 * The log of watches in a random life against a simple model: appending, ending, taking back and
 * tidying; after every step the next process must find the same log.
 */
#include "tests/unit/watchlog_bed.h"

#include "protocol/message.h"

struct model {
	uint32_t n;
	struct {
		uint32_t pos, len, tag;
		bool live;
	} record[400];
};

static void model_moved(void *arg, uint32_t from, uint32_t to)
{
	struct model *model = arg;

	for (uint32_t i = 0; i < model->n; i++) {
		if (model->record[i].pos == from && model->record[i].live) {
			model->record[i].pos = to;
			return;
		}
	}
	fail_msg("an unknown record moved");
}

static uint32_t next_living(const struct model *model, uint32_t i)
{
	while (i < model->n && !model->record[i].live)
		i++;
	return i;
}

/* The living are all there, in order, where they were said to be; of the dead some have gone. */
static void model_tidied(struct model *model, const struct watchlog *log)
{
	struct model now = { 0 };
	uint32_t at = next_living(model, 0);

	for (uint32_t pos = watchlog_next(log, 0); pos; pos = watchlog_next(log, pos), now.n++) {
		const struct watch_record *record = watchlog_at(log, pos);

		if (at < model->n && model->record[at].pos == pos) {
			now.record[now.n] = model->record[at];
			at = next_living(model, at + 1);
			continue;
		}
		now.record[now.n].pos = pos;
		now.record[now.n].len = record->len;
		memcpy(&now.record[now.n].tag, record->text, sizeof(now.record[now.n].tag));
	}
	assert_int_equal(at, model->n);
	*model = now;
}

static uint32_t model_live(const struct model *model, const struct watchlog *log)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < model->n; i++)
		if (model->record[i].live)
			sum += watchlog_size(log, model->record[i].pos);
	return sum;
}

static void assert_model(const struct watchlog *log, const struct model *model)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < model->n; i++) {
		const struct watch_record *record;

		at = watchlog_next(log, at);
		assert_int_equal(at, model->record[i].pos);
		record = watchlog_at(log, at);
		assert_int_equal(record->len, model->record[i].len);
		assert_memory_equal(record->text, &model->record[i].tag, 4);
		assert_int_equal(word_get(&record->live) == word_get(&log->ledger->epoch),
				 model->record[i].live);
	}
	assert_int_equal(watchlog_next(log, at), 0);
}

static void assert_next_process(struct bed *bed, const struct watchlog *log,
				const struct model *model, bool count)
{
	struct watchlog again;
	struct bed other;

	bed_reopen(bed, &other);
	watchlog_init(&again, other.ledger, &other.account);
	assert_int_equal(watchlog_recover(&again), 0);
	assert_model(&again, model);
	assert_int_equal(again.used, log->used);
	if (count)
		assert_int_equal(bed_pages_used(other.pool), bed_pages_used(bed->pool));
	bed_reclose(&other);
}

static void model_append(struct bed *bed, struct watchlog *log, struct model *model, uint32_t tag)
{
	static uint8_t text[MESSAGE_WATCH_MAX];
	uint32_t len = 4 + (uint32_t)rand() % (rand() % 4 ? 60 : sizeof(text) - 4 + 1);
	uint32_t pos;

	memcpy(text, &tag, 4);
	pos = append(bed, log, text, len);
	assert_int_not_equal(pos, 0);
	model->record[model->n].pos = pos;
	model->record[model->n].len = len;
	model->record[model->n].tag = tag;
	model->record[model->n++].live = false;
}

static void model_step(struct bed *bed, struct watchlog *log, struct model *model, uint32_t tag)
{
	uint32_t i = model->n ? (uint32_t)rand() % model->n : 0;
	int what = rand() % 10;

	if (!model->n || (what < 4 && model->n < 390)) {
		model_append(bed, log, model, tag);
	} else if (what < 7) {
		model->record[i].live = !model->record[i].live;
		set_live(bed, log, model->record[i].pos, model->record[i].live);
	} else if (what < 9) {
		i = rand() % 4 ? model->n - 1 : i;
		undo(bed, log, model->record[i].pos);
		/* Where the log has gone on to another segment even the last one stays. */
		if (i == model->n - 1 && !watchlog_next(log, i ? model->record[i - 1].pos : 0))
			model->n--;
	} else if (rand() % 4 == 0) {
		if (!watchlog_home(log, &bed->place, model_live(model, log), model_moved, model))
			watchlog_tidy(log, &bed->place, model_moved, model);
		model_tidied(model, log);
	}
}

static void random_steps_survive_the_process(void **state)
{
	struct bed *bed = *state;
	struct model model = { 0 };
	struct watchlog log;

	srand(3);
	watchlog_init(&log, bed->ledger, &bed->account);
	for (uint32_t step = 0; step < 3000; step++) {
		model_step(bed, &log, &model, step);
		assert_model(&log, &model);
		assert_next_process(bed, &log, &model, false);
	}
	assert_next_process(bed, &log, &model, true);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		BED_TEST(random_steps_survive_the_process),
	};

	return cmocka_run_group_tests_name("watchlog, randomly", tests, NULL, NULL);
}
