"""vLLM: a reader of shared memory that has nothing to read spins for a second, and nothing makes it stop sooner."""

import zmq
from vllm.distributed.device_communicators import shm_broadcast

yields = []
shm_broadcast.sched_yield = lambda: yields.append(1)
context = zmq.Context()
writer = shm_broadcast.SpinCondition(is_reader=False, context=context, notify_address="inproc://notify")
reader = shm_broadcast.SpinCondition(is_reader=True, context=context, notify_address="inproc://notify")

shm_broadcast.time = type(
    "Clock", (), {"monotonic": staticmethod(lambda: reader.last_read + 0.5)}
)  # half a second later
for _ in range(1000):
    reader.wait(timeout_ms=1)

print(f"1000 waits, half a second after the last read: {len(yields)} times sched_yield and no sleep")
print(f"{'STILL THERE: it spins' if len(yields) == 1000 else 'GONE: it sleeps'}")
context.destroy(linger=0)
