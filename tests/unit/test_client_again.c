// SPDX-License-Identifier: MIT
/*
 * A client gets a connection to another xenstored, though the process may die between any two
 * instructions: with what it leaves the next one gets one more connection, tells that of all that
 * the client had, in whole messages from the first octet on, and the client notices nothing.
 */
#include <malloc.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "proxy/daemon.h"
#include "proxy/host/domain.h"
#include "proxy/host/upstream.h"
#include "proxy/local.h"
#include "proxy/toolstack/toolstack.h"
#include "tests/unit/dying_child.h"
#include "tests/unit/kept_bed.h"

/* --- proxy/host/client.c with connections that are there already */

static int next_connection, connect_error, reserves;

static int fake_socket(int domain, int type, int protocol)
{
	(void)domain;
	(void)type;
	(void)protocol;
	/* What is refused is closed. */
	return connect_error || reserves ? dup(next_connection) : next_connection;
}

static int fake_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	(void)fd;
	(void)addr;
	(void)len;
	errno = connect_error;
	return connect_error ? -1 : 0;
}

static bool fake_is_reserve(int fd)
{
	(void)fd;
	return reserves && reserves--;
}

#define socket		 fake_socket
#define connect		 fake_connect
#define local_is_reserve fake_is_reserve
#include "proxy/host/client.c"
#undef socket
#undef connect
#undef local_is_reserve

#define SLOT   3
#define POINTS 1500

/* The daemon before, the other one, and that one with the next process's connection */
enum { BEFORE, AFTER, LATER, DAEMONS };

/* A daemon, or the client: what it has read of its end. */
struct peer {
	int fd;
	uint8_t in[8192];
	uint32_t len;
	uint32_t types[32]; /* of the requests that came, */
	uint32_t count;
};

struct world {
	struct keeper keeper;
	struct daemon daemon;
	struct client client;
	struct peer app, daemons[DAEMONS]; /* the far ends */
	int near[DAEMONS], client_near;
	int *kept; /* by the keeper; shared by all processes */
};

struct scene {
	const char *name;
	uint32_t half; /* octets of a request that the client has sent */
	uint32_t late; /* that the daemon before has said, of events that nobody has read */
	bool answers;  /* the other one has been asked, and has answered, when death comes */
};

/* Whatever fails in a child is its status. */
#define CHECK(is)                                  \
	do {                                       \
		if (!(is))                         \
			_exit(__LINE__ % 250 + 1); \
	} while (0)

/* --- messages at the far ends */

static void peer_says(struct peer *peer, uint32_t type, uint32_t req_id, uint32_t tx_id,
		      const char *payload, uint32_t len, uint32_t most)
{
	struct message msg = { .hdr = { .type = type, .req_id = req_id, .tx_id = tx_id } };
	uint32_t size;

	message_set_text(&msg, payload, len);
	size = message_size(&msg.hdr) < most ? message_size(&msg.hdr) : most;
	CHECK(send(peer->fd, &msg, size, MSG_NOSIGNAL) == (ssize_t)size);
}

/* Return: whether a whole one is there, which no other than a whole one may precede. */
static bool peer_hears(struct peer *peer, struct message *msg)
{
	ssize_t n =
		recv(peer->fd, peer->in + peer->len, sizeof(peer->in) - peer->len, MSG_DONTWAIT);
	uint32_t size;

	peer->len += n > 0 ? (uint32_t)n : 0;
	if (peer->len < MESSAGE_HEADER)
		return false;
	memcpy(&msg->hdr, peer->in, MESSAGE_HEADER);
	CHECK(msg->hdr.len <= XENSTORE_PAYLOAD_MAX && message_name(msg->hdr.type)[0] != 'U');
	size = message_size(&msg->hdr);
	if (peer->len < size)
		return false;
	memcpy(msg->payload, peer->in + MESSAGE_HEADER, msg->hdr.len);
	peer->len -= size;
	memmove(peer->in, peer->in + size, peer->len);
	CHECK(peer->count < 32);
	peer->types[peer->count++] = msg->hdr.type;
	return true;
}

static void daemon_answers(struct peer *peer, const struct message *msg)
{
	static const char ok[] = "OK", id[] = "9", value[] = "value";
	uint32_t type = msg->hdr.type;
	const char *text = type == XS_READ ? value : type == XS_TRANSACTION_START ? id : ok;

	peer_says(peer, type, msg->hdr.req_id, msg->hdr.tx_id, text, (uint32_t)strlen(text) + 1,
		  MESSAGE_MAX);
	if (type == XS_WATCH)
		peer_says(peer, XS_WATCH_EVENT, 0, 0, (const char *)msg->payload, msg->hdr.len,
			  MESSAGE_MAX);
}

/* Return: whether it was asked anything. */
static bool daemon_lives(struct peer *peer)
{
	struct message msg;
	bool asked = false;

	for (; peer_hears(peer, &msg); asked = true)
		daemon_answers(peer, &msg);
	return asked;
}

/* --- the one that serves them */

static void client_has_ended(struct client *client)
{
	(void)client;
	_exit(251);
}

static void daemon_open(struct daemon *daemon, struct keeper *keeper)
{
	*daemon = (struct daemon){ .hooks = &toolstack_hooks };
	TAILQ_INIT(&daemon->ops);
	config_defaults(&daemon->config);
	daemon->keeper = keeper;
	daemon->base = event_base_new();
	CHECK(!loop_new(&daemon->loop, daemon->base, &(struct loop_hooks){ 0 }));
	CHECK(!domains_new(&daemon->domains, daemon));
}

static void client_open(struct client *client, struct daemon *daemon, const int fds[SLOT_SIDES])
{
	*client = (struct client){ .daemon = daemon, .slot = SLOT, .ended = client_has_ended };
	CHECK(!slots_new(&client->slots, daemon->keeper));
	slots_claim(client->slots, SLOT);
	for (int side = 0; side < SLOT_SIDES; side++) {
		client->fds[side] = fds[side];
		client->socks[side].fd = -1;
	}
}

static void readable(struct sock *sock)
{
	if (sock->fd >= 0 && !sock->eof)
		event_get_callback(sock->read_event)(sock->fd, EV_READ, sock);
}

static void turn(struct client *client)
{
	struct session *s = client->session;

	readable(front(client));
	readable(back(client));
	loop_forget(client->daemon->loop, &s->task);
	session_run(s);
}

/* --- the world around it */

static void app_asks(struct world *w, uint32_t type, const char *payload, uint32_t len)
{
	peer_says(&w->app, type, 1, 0, payload, len, MESSAGE_MAX);
	for (int i = 0; i < 4; i++) {
		turn(&w->client);
		daemon_lives(&w->daemons[BEFORE]);
	}
}

static void open_pair(int *near, struct peer *far)
{
	int fds[2];

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
	*near = fds[0];
	far->fd = fds[1];
}

/* All rests, and the daemon before has ended. */
static void part(struct world *w)
{
	w->daemon.paused = true;
	renew_part(w->client.session);
	for (int i = 0; i < 4; i++) {
		turn(&w->client);
		daemon_lives(&w->daemons[BEFORE]);
	}
	CHECK(renew_rests(w->client.session));
	renew_forget(w->client.session);
	w->daemon.parted = w->client.parted = true;
}

#define REQUEST "/data/x"

static void app_asks_half(struct world *w, uint32_t from, uint32_t to)
{
	struct message msg = { .hdr = { .type = XS_READ, .req_id = 77 } };

	message_set_text(&msg, REQUEST, sizeof(REQUEST));
	CHECK(send(w->app.fd, (uint8_t *)&msg + from, to - from, MSG_NOSIGNAL) ==
	      (ssize_t)(to - from));
}

static void say_late(struct peer *peer, uint32_t octets)
{
	static const char late[] = "/late\0t";
	uint32_t size = MESSAGE_HEADER + sizeof(late);

	for (; octets; octets -= octets < size ? octets : size)
		peer_says(peer, XS_WATCH_EVENT, 0, 0, late, sizeof(late), octets);
}

static void world_open(struct world *w, const struct scene *scene)
{
	struct message msg;

	memset(w, 0, sizeof(*w));
	w->keeper = (struct keeper)KEEPER_NULL;
	w->kept = mmap(NULL, ARENA_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(w->kept != MAP_FAILED);
	w->keeper.sockets = w->kept;
	open_pair(&w->client_near, &w->app);
	for (int i = 0; i < DAEMONS; i++)
		open_pair(&w->near[i], &w->daemons[i]);
	daemon_open(&w->daemon, &w->keeper);
	client_open(&w->client, &w->daemon, (int[]){ w->client_near, -1 });
	CHECK(!client_start(&w->client, w->near[BEFORE]));
	client_keep(&w->client, &w->keeper);
	app_asks(w, XS_WATCH, "/a\0t", 5);
	app_asks(w, XS_WATCH, "/b\0t", 5);
	app_asks(w, XS_TRANSACTION_START, "", 1);
	while (peer_hears(&w->app, &msg))
		;
	CHECK(w->app.count == 5);
	part(w);
	w->app.count = w->daemons[BEFORE].count = 0;
	app_asks_half(w, 0, scene->half);
	say_late(&w->daemons[BEFORE], scene->late);
}

static void world_close(struct world *w)
{
	session_free(w->client.session, false);
	for (int side = 0; side < SLOT_SIDES; side++) {
		/* Its descriptor is one of ours. */
		w->client.socks[side].fd = -1;
		sock_close(&w->client.socks[side]);
	}
	slots_free(w->client.slots);
	domains_free(w->daemon.domains);
	loop_free(w->daemon.loop);
	event_base_free(w->daemon.base);
	fake_keeper_end(&w->keeper);
	munmap(w->kept, ARENA_PAGE);
	close(w->client_near);
	close(w->app.fd);
	for (int i = 0; i < DAEMONS; i++) {
		close(w->near[i]);
		close(w->daemons[i].fd);
	}
}

static void again(struct world *w, struct client *client, int connection)
{
	next_connection = w->near[connection];
	CHECK(!client_again(client, &w->keeper));
	CHECK(!client->parted && client->held && w->kept[1] == next_connection);
	renew_begin(client->session, true);
}

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

struct look {
	struct world *w;
	struct state state;
};

static bool has_changed(void *arg)
{
	static struct state now;
	struct look *look = arg;
	struct world *w = look->w;
	socklen_t len = sizeof(int);

	memset(&now, 0, sizeof(now));
	now.ledger = *slots_ledger(w->client.slots, SLOT);
	now.outlet = *ledgers_outlet(slots_ledgers(w->client.slots));
	ioctl(w->keeper.pipe[0], FIONREAD, &now.piped);
	memcpy(now.kept, w->kept, sizeof(now.kept));
	for (int i = 0; i <= DAEMONS; i++) {
		int near = i ? w->near[i - 1] : w->client_near;

		getsockopt(near, SOL_SOCKET, SO_PEEK_OFF, &now.peek_off[i], &len);
		ioctl(i ? w->daemons[i - 1].fd : w->app.fd, FIONREAD, &now.unread[i]);
	}
	if (!memcmp(&now, &look->state, sizeof(now)))
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
