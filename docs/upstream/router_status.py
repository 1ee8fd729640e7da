"""verl: the reward model's router turns every refusal of the model (400) into an error of the server (500)."""

import asyncio

import aiohttp
import httpx
from aiohttp import web
from verl.experimental.reward_loop.router.naive_router import NaiveRouter


async def refuse(request):
    return web.json_response({"error": "the prompt is too long"}, status=400)


async def main():
    model = web.Application()
    model.router.add_post("/{tail:.*}", refuse)
    runner = web.AppRunner(model)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    router = NaiveRouter(worker_urls=[f"http://127.0.0.1:{port}"])
    router.client = aiohttp.ClientSession()
    transport = httpx.ASGITransport(router.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://router") as client:
        reply = await client.post("/v1/chat/completions", json={})
    await router.client.close()
    await runner.cleanup()
    return reply


reply = asyncio.run(main())
print(f"the model answers 400, the router {reply.status_code}: {reply.text[:80]!r}")
print("STILL THERE: a refusal looks like an outage" if reply.status_code >= 500 else "GONE: refusals are passed on")
