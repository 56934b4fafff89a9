// SPDX-License-Identifier: MIT
/*
 * top_screen - what top shows, by ncurses, and its keys.
 *
 * From top to bottom: a line about all, the table's head, the sums, the domains or one domain's
 * details, and the keys. A line that is too long for the terminal ends at its edge.
 */
#include "ctl/table.h"
#include "ctl/top.h"

#include <curses.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TITLE_ROW 0
#define HEAD_ROW  1
#define SUMS_ROW  2
#define BODY_ROW  4
#define ESCAPE	  27

static int fail_terminal(const struct report *report, const char *what)
{
	const char *name = getenv("TERM");

	return report_fail(report, -ENOTTY, "the terminal %s %s; set TERM, or use --batch",
			   name ? name : "without a name", what);
}

int top_screen_open(const struct report *report)
{
	/* With them the terminal's size would stay what they say. */
	unsetenv("LINES");
	unsetenv("COLUMNS");
	if (!newterm(NULL, stdout, stdin))
		return fail_terminal(report, "is unknown");
	if (!tigetstr("cup")) {
		endwin();
		return fail_terminal(report, "cannot move its cursor");
	}
	cbreak();
	noecho();
	nonl();
	curs_set(0);
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(25);
	return 0;
}

void top_screen_close(void)
{
	endwin();
}

/* --- drawing */

/* Cut @text behind @columns columns. */
static void clip(char *text, int columns)
{
	for (; *text; text++)
		if (((unsigned char)*text & 0xc0) != 0x80 && columns-- <= 0)
			*text = '\0';
}

static void draw_line(int row, attr_t attr, const char *text)
{
	char line[2 * TABLE_LINE];

	snprintf(line, sizeof(line), "%s%*s", text, attr ? COLS : 0, "");
	clip(line, COLS);
	attrset(attr);
	mvaddstr(row, 0, line);
	attrset(A_NORMAL);
}

static int body_height(void)
{
	return LINES > BODY_ROW + 1 ? LINES - BODY_ROW - 1 : 0;
}

/* The chosen domain's place. */
static size_t chosen_at(const struct top_view *view)
{
	for (size_t i = 0; i < view->rates.nr; i++)
		if (view->rates.rows[i].domid == view->chosen)
			return i;
	return 0;
}

bool top_screen_choose(struct top_view *view)
{
	if (view->rates.nr)
		view->chosen = view->rates.rows[chosen_at(view)].domid;
	return view->rates.nr;
}

/* Have the line @at among those that are shown, of which none is beyond the end. */
static void scroll_to(struct top_view *view, size_t at, size_t nr)
{
	size_t height = (size_t)body_height();

	if (at < view->first)
		view->first = at;
	if (at >= view->first + height)
		view->first = at - height + 1;
	if (view->first + height > nr)
		view->first = nr > height ? nr - height : 0;
}

static void draw_title(const struct top_view *view)
{
	bool said = view->said[0];
	char line[TOP_SAID + 64];

	if (said)
		snprintf(line, sizeof(line), "%.*s", (int)strcspn(view->said, "\n"), view->said);
	else if (!view->sampled)
		snprintf(line, sizeof(line), "xsproxyctl top: asking xsproxyd");
	else
		snprintf(line, sizeof(line), "xsproxyctl top: %zu domains, by %s", view->rates.nr,
			 options_sort_name(view->sort));
	draw_line(TITLE_ROW, said ? A_BOLD : A_NORMAL, line);
}

static void draw_table(struct top_view *view)
{
	const struct load *rates = &view->rates;
	size_t chosen = chosen_at(view);
	char line[TABLE_LINE];

	if (!view->sampled)
		return;
	table_row(line, COLS, &rates->all, "all");
	draw_line(SUMS_ROW, A_NORMAL, line);
	table_row(line, COLS, &rates->clients, "tools");
	draw_line(SUMS_ROW + 1, A_NORMAL, line);
	scroll_to(view, chosen, rates->nr);
	for (int i = 0; i < body_height() && view->first + (size_t)i < rates->nr; i++) {
		size_t at = view->first + (size_t)i;

		table_row(line, COLS, &rates->rows[at], NULL);
		draw_line(BODY_ROW + i, at == chosen ? A_REVERSE : A_NORMAL, line);
	}
}

static size_t count_lines(const char *text)
{
	size_t nr = 0;

	while (*text)
		nr += *text++ == '\n';
	return nr;
}

static void draw_details(struct top_view *view)
{
	const char *text = view->details;
	size_t at = chosen_at(view);
	char line[TABLE_LINE];

	if (at < view->rates.nr && view->rates.rows[at].domid == view->chosen) {
		table_row(line, COLS, &view->rates.rows[at], NULL);
		draw_line(SUMS_ROW, A_NORMAL, line);
	}
	scroll_to(view, view->first, count_lines(text));
	for (size_t i = 0; *text && i < view->first + (size_t)body_height(); i++) {
		size_t len = strcspn(text, "\n");

		snprintf(line, sizeof(line), "%.*s", (int)len, text);
		if (i >= view->first)
			draw_line(BODY_ROW + (int)(i - view->first), A_NORMAL, line);
		text += len + (text[len] == '\n');
	}
}

void top_screen_draw(struct top_view *view)
{
	char line[TABLE_LINE];

	erase();
	draw_title(view);
	table_head(line, COLS, view->sort);
	draw_line(HEAD_ROW, A_REVERSE, line);
	if (view->details)
		draw_details(view);
	else
		draw_table(view);
	draw_line(LINES - 1, A_NORMAL,
		  view->details ? "b back, q quit, up down page keys scroll"
				: "by: r requests e errors p p99 o octets f full w watches d domid "
				  "| Enter, q quit");
	refresh();
}

/* --- keys */

/* By @lines up or down. */
static void move_by(struct top_view *view, long lines)
{
	long nr = (long)view->rates.nr;
	long at = (view->details ? (long)view->first : (long)chosen_at(view)) + lines;

	if (at < 0)
		at = 0;
	if (view->details) {
		view->first = (size_t)at; /* draw_details() knows the end */
		return;
	}
	if (nr)
		view->chosen = view->rates.rows[at < nr ? at : nr - 1].domid;
}

static void sort_by(struct top_view *view, enum option_sort sort)
{
	view->sort = sort;
	load_sort(&view->rates, sort);
}

static void press(struct top_view *view, int c, enum top_key *key)
{
	switch (c) {
	case 'q':
		*key = TOP_QUIT;
		break;
	case '\r':
	case KEY_ENTER:
		*key = TOP_LOOK;
		break;
	case 'b':
	case ESCAPE:
	case KEY_BACKSPACE:
	case KEY_LEFT:
		*key = TOP_BACK;
		break;
	case 'r':
		sort_by(view, SORT_REQUESTS);
		break;
	case 'e':
		sort_by(view, SORT_ERRORS);
		break;
	case 'p':
		sort_by(view, SORT_P99);
		break;
	case 'o':
		sort_by(view, SORT_OCTETS);
		break;
	case 'f':
		sort_by(view, SORT_FULL);
		break;
	case 'w':
		sort_by(view, SORT_WATCHES);
		break;
	case 'd':
		sort_by(view, SORT_DOMID);
		break;
	case 'k':
	case KEY_UP:
		move_by(view, -1);
		break;
	case 'j':
	case KEY_DOWN:
		move_by(view, 1);
		break;
	case KEY_PPAGE:
		move_by(view, -body_height());
		break;
	case KEY_NPAGE:
		move_by(view, body_height());
		break;
	}
}

bool top_screen_key(struct top_view *view, enum top_key *key)
{
	int c = getch();

	*key = TOP_NOTHING;
	if (c == ERR)
		return false;
	/* Nobody knows what a terminal makes of its content when its size changes. */
	if (c == '\f' || c == KEY_RESIZE)
		clearok(stdscr, TRUE);
	press(view, c, key);
	return true;
}
