"""Out of memory: a Java heap that is full, or a Python array that does not fit the container."""

from __future__ import annotations

from random import Random

from logsim.request import Request
from logsim.scenarios.base import Scenario, Values, java_error, python_error
from logsim.services import ANALYTICS, INVENTORY, ORDER
from logsim.traces.java import Thrown
from logsim.traces.java_frames import EXECUTOR
from logsim.traces.python import library, own

HEAP_MB = 1024
CONTAINER_MB = 4096
GIB = 1 << 30


def draw(random: Random, request: Request, pressure: float, _now_ms: int) -> Values:
    heap_free = 1 + random.getrandbits(2)
    rows = 12_000_000 + int(pressure * 20_000_000) + random.getrandbits(16)
    columns = 24 + random.getrandbits(3)
    container_free = 96 + random.getrandbits(8)
    return {
        "heap": HEAP_MB,
        "heap_used": HEAP_MB - heap_free,
        "heap_free": heap_free,
        "gc_percent": 91 + int(pressure * 8),
        "gc_s": 30,
        "rows": rows,
        "columns": columns,
        "array_gib": f"{rows * columns * 8 / GIB:.2f}",
        "limit": CONTAINER_MB,
        "rss": CONTAINER_MB - container_free,
        "free": container_free,
        "order": request.order_id,
    }


_JAVA_MESSAGE = (
    "Out of memory: Java heap space, %(heap_used)d of %(heap)d MB used after full GC "
    "(%(gc_percent)d %% of the last %(gc_s)d s in GC)"
)
_JAVA_DETAILS = (
    ("Heap", "%(heap_used)d MB used of %(heap)d MB (-Xmx%(heap)dm), %(heap_free)d MB free"),
    ("Garbage collector", "G1, %(gc_percent)d %% of the last %(gc_s)d s in full GC"),
    ("Heap dump", "/var/dumps/java_pid1.hprof"),
)


def _java_chain(*own_frames: str) -> tuple[Thrown, ...]:
    """An OutOfMemoryError in a CompletableFuture, wrapped where the future completes."""
    supply = "java.base/java.util.concurrent.CompletableFuture$AsyncSupply.run"
    return (
        Thrown(
            "java.util.concurrent.CompletionException",
            "java.lang.OutOfMemoryError: Java heap space",
            (
                (
                    "java.base/java.util.concurrent.CompletableFuture.encodeThrowable"
                    "(CompletableFuture.java:315)"
                ),
                (
                    "java.base/java.util.concurrent.CompletableFuture.completeThrowable"
                    "(CompletableFuture.java:320)"
                ),
                f"{supply}(CompletableFuture.java:1770)",
                *EXECUTOR,
            ),
        ),
        Thrown(
            "java.lang.OutOfMemoryError",
            "Java heap space",
            (*own_frames, f"{supply}(CompletableFuture.java:1768)"),
            wrapped_in=3,
        ),
    )


SCENARIO = Scenario(
    name="out-of-memory",
    code="OUT_OF_MEMORY",
    title="Out of memory",
    draw=draw,
    templates=(
        java_error(
            ORDER,
            logger="export.InvoiceExport",
            thread="export-1",
            message=_JAVA_MESSAGE,
            details=_JAVA_DETAILS,
            recovery="Pod leaves the load balancer and restarts (ExitOnOutOfMemoryError)",
            chain=_java_chain(
                "java.base/java.util.Arrays.copyOf(Arrays.java:3537)",
                "java.base/java.io.ByteArrayOutputStream.ensureCapacity"
                "(ByteArrayOutputStream.java:100)",
                "java.base/java.io.ByteArrayOutputStream.write(ByteArrayOutputStream.java:132)",
                "com.fasterxml.jackson.core.json.UTF8JsonGenerator._flushBuffer"
                "(UTF8JsonGenerator.java:2203)",
                "com.fasterxml.jackson.core.json.UTF8JsonGenerator.writeString"
                "(UTF8JsonGenerator.java:505)",
                "com.fasterxml.jackson.databind.ser.std.BeanSerializerBase.serializeFields"
                "(BeanSerializerBase.java:772)",
                "com.fasterxml.jackson.databind.ObjectMapper.writeValueAsBytes"
                "(ObjectMapper.java:4128)",
                "com.shopwave.order.export.InvoiceExport.render(InvoiceExport.java:137)",
                "com.shopwave.order.export.InvoiceExport.lambda$start$0(InvoiceExport.java:58)",
            ),
        ),
        java_error(
            INVENTORY,
            logger="report.StockReport",
            thread="report-2",
            message=_JAVA_MESSAGE,
            details=_JAVA_DETAILS,
            recovery="Report cancelled, caches cleared; pod restarts if GC stays above 90 %%",
            chain=_java_chain(
                "java.base/java.util.HashMap.resize(HashMap.java:702)",
                "java.base/java.util.HashMap.putVal(HashMap.java:661)",
                "java.base/java.util.HashMap.put(HashMap.java:610)",
                "org.hibernate.engine.internal.StatefulPersistenceContext.addEntity"
                "(StatefulPersistenceContext.java:472)",
                "org.hibernate.sql.results.internal.StandardRowReader.readRow"
                "(StandardRowReader.java:102)",
                "org.hibernate.sql.results.spi.ListResultsConsumer.consume"
                "(ListResultsConsumer.java:205)",
                "org.hibernate.query.sqm.internal.QuerySqmImpl.doList(QuerySqmImpl.java:365)",
                "org.hibernate.query.spi.AbstractSelectionQuery.list"
                "(AbstractSelectionQuery.java:427)",
                "com.shopwave.inventory.report.StockReport.collect(StockReport.java:94)",
                "com.shopwave.inventory.report.StockReport.lambda$build$1(StockReport.java:51)",
            ),
        ),
        python_error(
            ANALYTICS,
            logger="cohort.builder",
            thread="cohort-1",
            message=(
                "Out of memory: %(array_gib)s GiB wanted for %(rows)d rows x %(columns)d columns, "
                "%(free)d MB free of %(limit)d MB"
            ),
            details=(
                ("Container memory", "%(rss)d MB used of %(limit)d MB, %(free)d MB free"),
                ("Data frame", "%(rows)d rows x %(columns)d columns, float64"),
                ("Requested", "%(array_gib)s GiB"),
            ),
            recovery="Job split into 8 partitions and queued again; intermediate results dropped",
            frames=(
                own("analytics/worker.py", 77, "run_job", "result = job.execute(context)"),
                own("analytics/cohort/job.py", 42, "execute", "matrix = builder.build(events)"),
                own(
                    "analytics/cohort/builder.py",
                    118,
                    "build",
                    "wide = events.pivot_table(index=KEY, columns=DAY, values=AMOUNT)",
                ),
                library("pandas/core/frame.py", 8579, "pivot_table", "return pivot_table("),
                library(
                    "pandas/core/reshape/pivot.py",
                    97,
                    "pivot_table",
                    "table = __internal_pivot_table(",
                ),
                library(
                    "pandas/core/reshape/pivot.py",
                    172,
                    "__internal_pivot_table",
                    "table = agged.unstack(to_unstack)",
                ),
                library(
                    "pandas/core/frame.py",
                    9112,
                    "unstack",
                    "result = unstack(self, level, fill_value)",
                ),
                library(
                    "pandas/core/reshape/reshape.py",
                    478,
                    "unstack",
                    "return _unstack_frame(obj, level, fill_value=fill_value)",
                ),
                library(
                    "pandas/core/reshape/reshape.py",
                    505,
                    "_unstack_frame",
                    "mgr = obj._mgr.unstack(unstacker, fill_value=fill_value)",
                ),
                library(
                    "pandas/core/internals/managers.py",
                    1635,
                    "unstack",
                    "blks, mask = blk._unstack(",
                ),
                library(
                    "pandas/core/reshape/reshape.py",
                    259,
                    "get_new_values",
                    "new_values = np.empty(result_shape, dtype=dtype)",
                ),
            ),
            error_type="numpy.core._exceptions._ArrayMemoryError",
            error_message=(
                "Unable to allocate %(array_gib)s GiB for an array with shape "
                "(%(rows)d, %(columns)d) and data type float64"
            ),
        ),
    ),
)
