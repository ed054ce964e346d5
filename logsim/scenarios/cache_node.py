"""Cache cluster node down: a Redis master is gone and its hash slots are not served."""

from __future__ import annotations

from random import Random

from logsim.request import Request
from logsim.scenarios.base import Scenario, Values, java_error, python_error
from logsim.services import AUTH, INVENTORY, PROFILE
from logsim.traces.java import Thrown
from logsim.traces.java_frames import EXECUTOR, THREAD
from logsim.traces.python import library, own, stdlib

NODES = 6
SLOTS = 16384
# First and last slot of each master, as `redis-cli --cluster create` deals them to three.
MASTERS = ((0, 5460), (5461, 10922), (10923, SLOTS - 1))


def draw(random: Random, request: Request, pressure: float, _now_ms: int) -> Values:
    slot = random.randrange(SLOTS)
    master = next(index for index, (_, last) in enumerate(MASTERS) if slot <= last)
    first, last = MASTERS[master]
    return {
        "slot": slot,
        "node": f"redis-{master}.redis:6379",
        "first_slot": first,
        "last_slot": last,
        "unserved": last - first + 1,
        "slots": SLOTS,
        "up": NODES - 1,
        "nodes": NODES,
        "down_s": 2 + int(pressure * 88),
        "user": request.user_id,
    }


_MESSAGE = (
    "Cache cluster node down: %(node)s unreachable for %(down_s)d s, %(up)d/%(nodes)d nodes up"
)

_DETAILS = (
    ("Node", "%(node)s (master, slots %(first_slot)d-%(last_slot)d)"),
    ("Cluster", "%(up)d of %(nodes)d nodes up, %(unserved)d of %(slots)d slots not served"),
    ("Key slot", "%(slot)d"),
    ("Unreachable for", "%(down_s)d s"),
)

_CLUSTERDOWN = "CLUSTERDOWN Hash slot not served"

# Answered on the event loop: only the thread's last frame is common with the caller's stack.
_LETTUCE = Thrown(
    "io.lettuce.core.RedisCommandExecutionException",
    _CLUSTERDOWN,
    (
        (
            "io.lettuce.core.internal.ExceptionFactory.createExecutionException"
            "(ExceptionFactory.java:147)"
        ),
        "io.lettuce.core.protocol.AsyncCommand.completeResult(AsyncCommand.java:120)",
        "io.lettuce.core.cluster.ClusterCommand.complete(ClusterCommand.java:65)",
        "io.lettuce.core.protocol.CommandHandler.complete(CommandHandler.java:747)",
        "io.lettuce.core.protocol.CommandHandler.channelRead(CommandHandler.java:599)",
        "io.netty.channel.nio.NioEventLoop.run(NioEventLoop.java:562)",
        "io.netty.util.internal.ThreadExecutorMap$2.run(ThreadExecutorMap.java:74)",
        "io.netty.util.concurrent.FastThreadLocalRunnable.run(FastThreadLocalRunnable.java:30)",
        *THREAD,
    ),
    wrapped_in=10_000,
)


def _redis_call(*caller: str) -> Thrown:
    return Thrown(
        "org.springframework.data.redis.RedisSystemException",
        "Error in execution",
        (
            (
                "org.springframework.data.redis.connection.lettuce.LettuceExceptionConverter.convert"
                "(LettuceExceptionConverter.java:52)"
            ),
            (
                "org.springframework.data.redis.connection.lettuce.LettuceConnection"
                ".convertLettuceAccessException(LettuceConnection.java:263)"
            ),
            (
                "org.springframework.data.redis.connection.lettuce.LettuceConnection.await"
                "(LettuceConnection.java:995)"
            ),
            (
                "org.springframework.data.redis.connection.lettuce.LettuceInvoker$Synchronizer.invoke"
                "(LettuceInvoker.java:665)"
            ),
            (
                "org.springframework.data.redis.connection.lettuce.LettuceStringCommands.get"
                "(LettuceStringCommands.java:51)"
            ),
            "org.springframework.data.redis.core.RedisTemplate.execute(RedisTemplate.java:411)",
            (
                "org.springframework.data.redis.core.DefaultValueOperations.get"
                "(DefaultValueOperations.java:50)"
            ),
            *caller,
            *EXECUTOR,
        ),
    )


SCENARIO = Scenario(
    name="cache-node-down",
    code="CACHE_NODE_DOWN",
    title="Cache cluster node down",
    draw=draw,
    templates=(
        java_error(
            AUTH,
            logger="session.SessionCache",
            thread="auth-exec-5",
            message=_MESSAGE,
            details=_DETAILS,
            recovery="Sessions read from the database; topology refresh requested",
            chain=(
                _redis_call(
                    "com.shopwave.auth.session.SessionCache.find(SessionCache.java:57)",
                    "com.shopwave.auth.token.TokenService.introspect(TokenService.java:121)",
                    "com.shopwave.auth.token.IntrospectionEndpoint.lambda$handle$0"
                    "(IntrospectionEndpoint.java:44)",
                ),
                _LETTUCE,
            ),
        ),
        java_error(
            INVENTORY,
            logger="cache.StockCache",
            thread="stock-worker-1",
            message=_MESSAGE,
            details=_DETAILS,
            recovery="Cache bypassed, stock read from the replica; node replacement pending",
            chain=(
                _redis_call(
                    "com.shopwave.inventory.cache.StockCache.level(StockCache.java:73)",
                    "com.shopwave.inventory.stock.StockService.available(StockService.java:61)",
                ),
                _LETTUCE,
            ),
        ),
        python_error(
            PROFILE,
            logger="cache.profiles",
            message=_MESSAGE,
            details=_DETAILS,
            recovery="Profile loaded from the database; cache writes off until the slots are back",
            frames=(
                library(
                    "uvicorn/protocols/http/httptools_impl.py",
                    419,
                    "run_asgi",
                    "result = await app(self.scope, self.receive, self.send)",
                ),
                library(
                    "fastapi/routing.py", 237, "app", "raw_response = await run_endpoint_function("
                ),
                own(
                    "profile_api/routes/users.py",
                    39,
                    "get_profile",
                    "cached = await cache.get(profile_key(user_id))",
                ),
                own(
                    "profile_api/cache/profiles.py",
                    28,
                    "get",
                    "payload = await self._redis.get(key)",
                ),
                library("redis/asyncio/cluster.py", 727, "execute_command", "raise e"),
                library(
                    "redis/asyncio/cluster.py",
                    698,
                    "execute_command",
                    "ret = await self._execute_command(target_nodes[0], *args, **kwargs)",
                ),
                library(
                    "redis/asyncio/cluster.py",
                    764,
                    "_execute_command",
                    "return await target_node.execute_command(*args, **kwargs)",
                ),
                library(
                    "redis/asyncio/cluster.py",
                    1007,
                    "execute_command",
                    "return await self.parse_response(connection, args[0], **kwargs)",
                ),
                library(
                    "redis/asyncio/connection.py",
                    523,
                    "read_response",
                    "response = await self._parser.read_response(",
                ),
                library("redis/_parsers/resp2.py", 105, "_read_response", "raise error"),
            ),
            error_type="redis.exceptions.ClusterDownError",
            error_message=_CLUSTERDOWN,
        ),
        python_error(
            PROFILE,
            logger="cache.preferences",
            message=_MESSAGE,
            details=_DETAILS,
            recovery="Defaults served for preferences; write-behind queue holds the update",
            frames=(
                stdlib("asyncio/tasks.py", 232, "__step", "result = coro.send(None)"),
                own(
                    "profile_api/tasks/preferences.py",
                    52,
                    "flush",
                    "await store.save(user_id, preferences)",
                ),
                own(
                    "profile_api/cache/preferences.py",
                    34,
                    "save",
                    "await self._redis.hset(key, mapping=values)",
                ),
                library(
                    "redis/asyncio/cluster.py",
                    698,
                    "execute_command",
                    "ret = await self._execute_command(target_nodes[0], *args, **kwargs)",
                ),
                library(
                    "redis/asyncio/cluster.py", 792, "_execute_command", "await self.initialize()"
                ),
                library(
                    "redis/asyncio/cluster.py",
                    379,
                    "initialize",
                    "await self.nodes_manager.initialize()",
                ),
                library(
                    "redis/asyncio/cluster.py", 1220, "initialize", "raise RedisClusterException("
                ),
            ),
            error_type="redis.exceptions.RedisClusterException",
            error_message=(
                "All slots are not covered after query all startup_nodes. "
                "%(unserved)d of %(slots)d slots have no owner"
            ),
        ),
    ),
)
