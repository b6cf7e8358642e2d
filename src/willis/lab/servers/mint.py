"""MINT piece: the part of a MINT server that a balancer must get right.

``POST /jobs/createstudy`` leaves a job file *on this host only*, and
``GET /jobs/createstudy/{id}`` reads it: without persistence the second request meets a
server that has never heard of the job. ``GET /studies?studyuid=`` asks the archive: the
Orthanc of this host if it has one, which then also keeps what jobs bring.
"""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from willis.lab.servers.archive import Archive
from willis.lab.servers.brief import read_own
from willis.lab.servers.ledger import Ledger
from willis.lab.servers.web import serve

_JOB = re.compile(r"\A[0-9a-f]{32}\Z")


def main() -> None:
    """Serve until killed."""
    brief = read_own()
    archive = Archive(brief.archive) if brief.archive else None
    jobs = Path(brief.home) / "jobs"
    jobs.mkdir(mode=0o700, exist_ok=True)

    async def create(request: Request) -> Response:
        body = await request.body()
        kept = archive is not None and await archive.store(body)
        job = uuid.uuid4().hex
        done = {"job": job, "state": "SUCCESS", "bytes": len(body), "kept": kept, "host": brief.host}
        (jobs / job).write_text(json.dumps(done))
        return JSONResponse({"job": job, "host": brief.host}, 202, {"location": f"/jobs/createstudy/{job}"})

    async def job(request: Request) -> Response:
        name = request.path_params["job"]
        if not _JOB.match(name) or not (jobs / name).exists():
            return JSONResponse({"error": f"{brief.host} knows no such job"}, 404)
        return JSONResponse(json.loads((jobs / name).read_text()))

    async def studies(request: Request) -> Response:
        uid = request.query_params.get("studyuid")
        found = await archive.studies(uid) if archive is not None else []
        return JSONResponse({"host": brief.host, "studies": found})

    routes = [
        Route("/jobs/createstudy", create, methods=["POST"]),
        Route("/jobs/createstudy/{job}", job),
        Route("/studies", studies),
    ]
    serve(brief, Ledger(brief), routes)


if __name__ == "__main__":
    main()
