// SPDX-License-Identifier: MIT
/*
 * A client gets a connection to another xenstored, though the process may die between any two
 * instructions: with what it leaves the next one gets one more connection, tells that of all that
 * the client had, in whole messages from the first octet on, and the client notices nothing.
 */
#include <malloc.h>
#include <sys/ioctl.h>

#include "tests/unit/client_world.h"
#include "tests/unit/dying_child.h"

#define POINTS 1500

/* --- the next process */

/* What the client has heard from the beginning of it all: its answers, and what was late, once. */
static void client_has_heard(struct world *w, uint32_t most_late)
{
	uint32_t late = 0, answers = 0, again = 0, events = 0;
	struct message msg;

	while (peer_hears(&w->app, &msg)) {
		const char *text = (const char *)msg.payload;

		late += msg.hdr.type == XS_WATCH_EVENT && !strcmp(text, "/late");
		events += msg.hdr.type == XS_WATCH_EVENT && !strcmp(text, "/b");
		answers +=
			msg.hdr.type == XS_READ && msg.hdr.req_id == 77 && !strcmp(text, "value");
		again +=
			msg.hdr.type == XS_ERROR && msg.hdr.req_id == 78 && !strcmp(text, "EAGAIN");
	}
	CHECK(!w->app.len && answers == 1 && again == 1 && events == 1 && late <= most_late);
	CHECK(w->app.count == late + 3);
}

static void everybody_goes_on(struct world *w, struct client *client, const struct scene *scene,
			      int daemon)
{
	struct peer *peer = &w->daemons[daemon];

	client->daemon->paused = client->daemon->parted = false;
	app_asks_half(w, scene->half, MESSAGE_HEADER + sizeof(REQUEST));
	peer_says(&w->app, XS_TRANSACTION_END, 78, 9, "T", 2, MESSAGE_MAX);
	peer_says(peer, XS_WATCH_EVENT, 0, 0, "/b\0t", 5, MESSAGE_MAX);
	for (int i = 0; i < 6; i++) {
		turn(client);
		daemon_lives(peer);
	}
	client_has_heard(w, scene->late / (MESSAGE_HEADER + 8));
	CHECK(peer->count == 6 && peer->types[4] == XS_READ &&
	      peer->types[5] == XS_TRANSACTION_END);
}

static void renew_with(struct world *w, struct client *client, int daemon)
{
	struct peer *peer = &w->daemons[daemon];

	for (int i = 0; renew_busy(client->session); i++) {
		CHECK(i < 10);
		turn(client);
		daemon_lives(peer);
	}
	CHECK(renew_rests(client->session) && peer->count == 4 && !peer->len);
	CHECK(peer->types[0] == XS_WATCH && peer->types[1] == XS_WATCH &&
	      peer->types[2] == XS_TRANSACTION_START && peer->types[3] == XS_GET_DOMAIN_PATH);
}

static void __attribute__((noreturn)) succeed(struct world *w, const struct scene *scene)
{
	struct daemon daemon;
	struct client client;

	daemon_open(&daemon, &w->keeper);
	daemon.paused = daemon.parted = true;
	client_open(&client, &daemon, w->kept);
	client.held = client.left = true;
	CHECK(!client_resume(&client));
	client_keep(&client, &w->keeper);
	/* Until the other daemon is there, and has been found there. */
	for (int i = 0; i < 3; i++)
		turn(&client);
	again(w, &client, LATER);
	renew_with(w, &client, LATER);
	everybody_goes_on(w, &client, scene, LATER);
	_exit(0);
}

static void take_up(struct world *w, const struct scene *scene)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		succeed(w, scene);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status))
		fail_msg("the next one fails at the check in line %d (modulo 250) in scene \"%s\"",
			 WEXITSTATUS(status) - 1, scene->name);
}

/* --- the one that is killed */

/* What the next one looks at, but for the octets of queues. */
struct state {
	struct ledger ledger;
	struct ledgers_outlet outlet;
	int peek_off[1 + DAEMONS], unread[1 + DAEMONS], piped, kept[SLOT_SIDES];
};

union state_octets {
	struct state is;
	uint8_t octets[sizeof(struct state)];
};

struct look {
	struct world *w;
	union state_octets state;
};

static bool has_changed(void *arg)
{
	static union state_octets now;
	struct look *look = arg;
	struct world *w = look->w;
	socklen_t len = sizeof(int);

	memset(&now, 0, sizeof(now));
	now.is.ledger = *slots_ledger(w->client.slots, SLOT);
	now.is.outlet = *ledgers_outlet(slots_ledgers(w->client.slots));
	ioctl(w->keeper.pipe[0], FIONREAD, &now.is.piped);
	memcpy(now.is.kept, w->kept, sizeof(now.is.kept));
	for (int i = 0; i <= DAEMONS; i++) {
		int near = i ? w->near[i - 1] : w->client_near;

		getsockopt(near, SOL_SOCKET, SO_PEEK_OFF, &now.is.peek_off[i], &len);
		ioctl(i ? w->daemons[i - 1].fd : w->app.fd, FIONREAD, &now.is.unread[i]);
	}
	if (!memcmp(now.octets, look->state.octets, sizeof(now.octets)))
		return false;
	look->state = now;
	return true;
}

static pid_t begin_child(struct world *w, const struct scene *scene)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (scene->answers) {
			again(w, &w->client, AFTER);
			turn(&w->client);
			daemon_lives(&w->daemons[AFTER]);
		}
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		kill(getpid(), SIGSTOP);
		if (!scene->answers)
			again(w, &w->client, AFTER);
		turn(&w->client);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status));
	return pid;
}

static void die_once(const struct scene *scene, struct point point)
{
	static struct world w;

	world_open(&w, scene);
	child_dies_at(begin_child(&w, scene), point);
	take_up(&w, scene);
	world_close(&w);
}

static void die_everywhere(const struct scene *scene)
{
	static struct point points[POINTS];
	static struct look look;
	static struct world w;
	int n;

	world_open(&w, scene);
	memset(&look, 0, sizeof(look));
	look.w = &w;
	has_changed(&look);
	n = child_lives(begin_child(&w, scene), points, POINTS, has_changed, &look);
	world_close(&w);
	print_message("%s: %d places to die\n", scene->name, n);
	assert_true(n > 30);
	die_once(scene, (struct point){ 0, 0 });
	for (int i = 0; i < n; i++)
		die_once(scene, points[i]);
}

static const struct scene scenes[] = {
	{ .name = "nothing on its way" },
	{ .name = "half a request", .half = 20 },
	{ .name = "events that were late", .half = 7, .late = 24 + 24 },
	{ .name = "a part of an event", .late = 24 + 13 },
	{ .name = "answers of the other daemon", .half = 20, .answers = true },
};

static void death_at_each_instruction(void **state)
{
	(void)state;
	if (!may_trace()) {
		print_message("this machine does not let us trace\n");
		skip();
	}
	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++)
		die_everywhere(&scenes[i]);
}

/* --- nobody dies */

static void the_client_notices_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++) {
		static struct world w;

		world_open(&w, &scenes[i]);
		again(&w, &w.client, AFTER);
		renew_with(&w, &w.client, AFTER);
		everybody_goes_on(&w, &w.client, &scenes[i], AFTER);
		world_close(&w);
	}
}

/* It waits for nothing but the other daemon: the descriptor that it has is room enough for one. */
static void the_last_descriptors(void **state)
{
	static const struct scene *scene = &scenes[1];
	static struct world w;

	(void)state;
	world_open(&w, scene);
	next_connection = w.near[AFTER];
	connect_error = EAGAIN;
	assert_int_equal(client_again(&w.client, &w.keeper), -EAGAIN);
	connect_error = 0;
	reserves = 1;
	again(&w, &w.client, AFTER);
	assert_int_equal(reserves, 0);
	renew_with(&w, &w.client, AFTER);
	everybody_goes_on(&w, &w.client, scene, AFTER);
	world_close(&w);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_client_notices_nothing),
		cmocka_unit_test(the_last_descriptors),
		cmocka_unit_test(death_at_each_instruction),
	};

	signal(SIGPIPE, SIG_IGN);
	log_set_level(-1);
	/* A large calloc() is fresh memory then, and not an instruction an octet. */
	mallopt(M_MMAP_THRESHOLD, 65536);
	return cmocka_run_group_tests_name("client, again", tests, NULL, NULL);
}
