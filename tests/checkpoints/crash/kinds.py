"""What is killed, and when: each kind is a story of a few lives over the same threads."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.checkpoints.crash.client import POINTS, Role
from tests.checkpoints.crash.stage import Run
from tests.checkpoints.crash.verifier import Rules

Story = Callable[[Run], None]

ROLES: tuple[Role, ...] = ("writer", "reader")


_STRICT = Rules()


@dataclass(frozen=True)
class Kind:
    """A story, what must hold after it, and how often it is told among others."""

    story: Story
    rules: Rules = _STRICT
    weight: int = 1


def nobody_dies(run: Run) -> None:
    client = run.client()
    run.wait(client, 0.5)
    client.finish()


def client_dies(run: Run) -> None:
    """At any time, that of opening included."""
    client = run.client()
    run.wait(client, run.rng.uniform(0, 0.6))
    client.kill()


def client_dies_at_a_point(run: Run) -> None:
    run.client(point=run.rng.choice(POINTS), nth=run.rng.randint(1, 60)).join()


def clients_die_together(run: Run) -> None:
    """Two that write the same threads at once, as nobody should, and both branches are kept."""
    clients = [run.client(alone=False), run.client(alone=False)]
    run.wait(clients[0], run.rng.uniform(0.1, 0.6))
    for client in clients:
        client.kill()


def client_sleeps(run: Run) -> None:
    """In the middle of something, and goes on with it after another has had the threads."""
    first = run.client(alone=False, told=True)
    run.moment(first)
    first.freeze()
    second = run.client(alone=False)
    run.wait(second, run.rng.uniform(0.1, 0.5))
    first.thaw()
    run.pause(0.2)
    run.rng.choice((first, second)).kill()
    for client in (first, second):
        client.finish()


def threads_are_pruned(run: Run) -> None:
    """By another process, while the client writes and dies."""
    client = run.client(pruned=True)
    pruner = run.client(role="pruner")
    run.wait(client, run.rng.uniform(0.2, 0.8))
    run.rng.choice((client, pruner)).kill()
    run.pause(0.2)
    for one in (client, pruner):
        one.finish()


def client_is_superseded(run: Run) -> None:
    """The next owner fences it off while it writes; it hears of it."""
    first = run.client(epoch=run.next_epoch())
    run.wait(first, run.rng.uniform(0.05, 0.3))
    second = run.client(epoch=run.next_epoch())
    run.wait(second, run.rng.uniform(0.2, 0.6))
    run.rng.choice((first, second)).kill()
    for client in (first, second):
        client.finish()


def postgres_dies(run: Run) -> None:
    """And comes back; the client lives on."""
    client = run.client(told=True)
    run.moment(client)
    run.stage.postgres.kill()
    run.pause(0.2)
    run.stage.postgres.start()
    run.pause(0.2)
    client.finish()


def postgres_and_client_die(run: Run) -> None:
    client = run.client(told=True)
    run.moment(client)
    deaths = [run.stage.postgres.kill, client.kill]
    run.rng.shuffle(deaths)
    for death in deaths:
        death()
    run.stage.postgres.start()


def backend_dies(run: Run) -> None:
    """Which makes the server throw out every client and recover by itself."""
    client = run.client(told=True)
    run.moment(client)
    run.stage.postgres.kill_backend(run.rng.choice)
    run.pause(0.3)
    client.finish()


def postgres_answers_are_lost(run: Run) -> None:
    """It has committed, and the client cannot know."""
    client = run.client(told=True, through="postgres")
    for _ in range(run.rng.randint(1, 3)):
        run.moment(client)
        run.stage.postgres_proxy.lose_answers()
    run.pause(0.1)
    client.finish()


def client_dies_unanswered(run: Run) -> None:
    """Postgres has committed, and nobody knows of it."""
    if run.rng.random() < 0.7:
        threads_come_to_rest(run)
    client = run.client(told=True, through="postgres")
    run.moment(client)
    run.stage.postgres_proxy.lose_answers()
    run.wait(client, run.rng.uniform(0, 0.04))
    client.kill()


def redis_dies(run: Run) -> None:
    client = run.client(told=True)
    run.moment(client)
    run.stage.redis.kill()
    run.pause(0.2)
    run.stage.redis.start()
    run.pause(0.1)
    client.finish()


def redis_and_client_die(run: Run) -> None:
    client = run.client(told=True)
    run.moment(client)
    deaths = [run.stage.redis.kill, client.kill]
    run.rng.shuffle(deaths)
    for death in deaths:
        death()
    run.stage.redis.start()


def hasty_redis_and_client_die(run: Run) -> None:
    """It acknowledges up to a second before the disk has it."""
    run.stage.redis.configure("appendfsync", "everysec")
    redis_and_client_die(run)


def redis_answers_are_lost(run: Run) -> None:
    client = run.client(told=True, through="redis")
    for _ in range(run.rng.randint(1, 3)):
        run.moment(client)
        run.stage.redis_proxy.lose_answers()
    run.pause(0.1)
    client.finish()


def redis_forgets(run: Run) -> None:
    """It comes back empty."""
    run.stage.redis.forget_dump()
    redis_dies(run)


def redis_lies_stale(run: Run) -> None:
    """It comes back with what it held a while ago."""
    if run.rng.random() < 0.6:
        threads_come_to_rest(run)
        run.stage.redis.dump()
    client = run.client(told=True)
    reader = run.client(role="reader")
    if run.rng.random() < 0.5:
        run.wait(client, run.rng.uniform(0.1, 0.3))
        run.stage.redis.dump()
    run.moment(client)
    run.stage.redis.kill()
    if run.rng.random() < 0.5:
        run.pause(0.2)  # saves go on without it
    if run.rng.random() < 0.3:
        client.kill()
    run.stage.redis.start()
    run.pause(0.1)
    for one in (client, reader):
        one.finish()


def threads_come_to_rest(run: Run) -> None:
    """All of them, so that what is in Redis may be believed."""
    client = run.client()
    run.wait(client, 0.2)
    client.finish()


def redis_is_flushed(run: Run) -> None:
    client = run.client(told=True)
    for _ in range(run.rng.randint(1, 3)):
        run.moment(client)
        run.stage.redis.flush()
    run.pause(0.1)
    client.finish()


def redis_hangs(run: Run) -> None:
    threads_come_to_rest(run)
    client = run.client(told=True)
    run.moment(client)
    run.stage.redis.freeze()
    run.pause(1.5)
    if run.rng.random() < 0.5:
        client.kill()
    run.stage.redis.thaw()
    run.pause(0.1)
    client.finish()


def redis_lies_to_two(run: Run) -> None:
    """Two clients on the same threads, while Redis vanishes or turns back."""
    threads_come_to_rest(run)
    role = run.rng.choice(ROLES)
    clients = [run.client(alone=False, told=True), run.client(alone=False, role=role)]
    for _ in range(2):
        run.moment(clients[0])
        match run.rng.randrange(3):
            case 0:
                run.stage.redis.flush()
            case 1:
                run.stage.redis.dump()
            case 2:
                run.stage.redis.kill()
                run.stage.redis.start()
    for client in clients:
        client.finish()


def one_client_loses_redis(run: Run) -> None:
    """While another still has it, and would read there what the first has outdated."""
    proxy = run.stage.redis_proxy
    threads_come_to_rest(run)
    role = run.rng.choice(ROLES)
    clients = [
        run.client(alone=False, told=True, through="redis"),
        run.client(alone=False, role=role),
    ]
    cut, mend = run.rng.choice(((proxy.toggle, proxy.toggle), (proxy.freeze, proxy.thaw)))
    run.moment(clients[0])
    cut()
    run.pause(1.0)
    if run.rng.random() < 0.3:
        clients[0].kill()
    mend()
    run.pause(0.2)
    for client in clients:
        client.finish()


def everything_dies(run: Run) -> None:
    """At once, and Redis comes back with something old or with nothing."""
    client = run.client(told=True)
    run.wait(client, run.rng.uniform(0, 0.3))
    if run.rng.random() < 0.5:
        run.stage.redis.dump()
    else:
        run.stage.redis.forget_dump()
    run.moment(client)
    deaths = [run.stage.redis.kill, run.stage.postgres.kill, client.kill]
    run.rng.shuffle(deaths)
    for death in deaths:
        death()
    run.stage.redis.start()
    run.stage.postgres.start()


_CLIENT = {
    "nobody dies": Kind(nobody_dies),
    "client dies": Kind(client_dies, weight=3),
    "client dies at a point": Kind(client_dies_at_a_point, weight=3),
    "two clients die": Kind(clients_die_together),
    "client sleeps": Kind(client_sleeps),
    "threads are pruned": Kind(threads_are_pruned, Rules(pruned=True), weight=2),
}
_FENCED = {"client is superseded": Kind(client_is_superseded, weight=2)}
_AWAY = Rules(calm=False)
_POSTGRES = {
    "Postgres dies": Kind(postgres_dies, _AWAY, weight=3),
    "Postgres and client die": Kind(postgres_and_client_die, _AWAY, weight=2),
    "backend dies": Kind(backend_dies, _AWAY),
    "client dies unanswered": Kind(client_dies_unanswered, _AWAY, weight=2),
    "Postgres' answers are lost": Kind(postgres_answers_are_lost, _AWAY, weight=2),
}
_REDIS = {
    "Redis dies": Kind(redis_dies, _AWAY, weight=3),
    "Redis and client die": Kind(redis_and_client_die, _AWAY, weight=2),
    "Redis' answers are lost": Kind(redis_answers_are_lost, _AWAY, weight=2),
    "everysec Redis and client die": Kind(
        hasty_redis_and_client_die, Rules(lossy=True, calm=False)
    ),
}
_HEADS = {
    "Redis forgets": Kind(redis_forgets, weight=2),
    "Redis lies stale": Kind(redis_lies_stale, weight=3),
    "Redis is flushed": Kind(redis_is_flushed, weight=2),
    "Redis' answers are lost": Kind(redis_answers_are_lost),
    "Redis hangs": Kind(redis_hangs),
    "Redis lies to two": Kind(redis_lies_to_two, weight=2),
    "one client loses Redis": Kind(one_client_loses_redis, weight=3),
    "everything dies": Kind(everything_dies, _AWAY, weight=2),
}

_KINDS: Mapping[str, Mapping[str, Kind]] = {
    "redis": _CLIENT | _FENCED | _REDIS,
    "tiered": _CLIENT | _FENCED | _POSTGRES | _HEADS,
}


def kinds_for(saver: str) -> Mapping[str, Kind]:
    """By name, what can be told of this saver: of most, what can happen to Postgres."""
    return _KINDS.get(saver, _CLIENT | _FENCED | _POSTGRES)
