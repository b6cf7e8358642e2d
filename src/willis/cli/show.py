"""Tables and sentences for people; ``--json`` prints the answer as it came."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

from rich.markup import escape

from willis.config import Problem
from willis.terminal import console, table

Json = dict[str, Any]

out = console()
err = console(stderr=True)

_STATE = {
    "up": "[green]● up[/]",
    "degraded": "[yellow]▲ degraded[/]",
    "down": "[red]■ down[/]",
}


def as_json(content: Json) -> None:
    """Print for programs."""
    sys.stdout.write(json.dumps(content, indent=2) + "\n")


def problem(found: Problem) -> Json:
    """A problem in the shape that scripts rely on."""
    return {
        "path": found.path,
        "pointer": found.pointer,
        "line": found.line,
        "severity": str(found.severity),
        "what": found.what,
        "remedy": found.remedy,
    }


def note(text: str) -> None:
    """A remark beside the answer, on standard error."""
    err.print(f"[dim]{escape(text)}[/]")


def failure(text: str, problems: list[Json]) -> None:
    """Why something was not done."""
    err.print(f"[red]refused:[/] {escape(text)}")
    show_problems(problems)


def show_problems(problems: list[Json]) -> None:
    """Each problem with its line, its place, what is wrong and what to do."""
    for p in problems:
        colour = "red" if p["severity"] == "error" else "yellow"
        err.print(f"[{colour}]{p['severity']}[/] line {p['line']} [bold]{escape(p['path'])}[/]")
        err.print(f"    {escape(p['what'])}\n    [dim]→ {escape(p['remedy'])}[/]")


def show_status(status: Json) -> None:
    """All services, a line each, their servers in words."""
    for engine in status["engines"]:
        if not engine["ok"]:
            err.print(f"[red]■ engine {engine['name']} fails:[/] {escape(engine['sentence'])}")
        for alarm in engine["alarms"]:
            err.print(f"[yellow]▲ {engine['name']}:[/] {escape(alarm)}")
    if not status["services"]:
        out.print("No services yet: apply a document with 'willis apply FILE'.")
        return
    columns = ("state", "service", "VIP", "mode", "servers", "active", "total", "in")
    grid = table(*columns, keep=columns[:4])
    for s in status["services"]:
        grid.add_row(
            _STATE[s["state"]],
            escape(s["name"]),
            f"{s['vip']}:{_ports(s['ports'])}",
            _mode(s),
            _servers(s),
            str(s["sessions"]["active"]),
            str(s["sessions"]["total"]),
            size(s["bytes"]["in"]),
        )
    out.print(grid)
    if status["trial"] is not None:
        trial = status["trial"]
        out.print(
            f"[yellow]▲ revision {trial['revision']} by {escape(trial['author'])} waits to be confirmed[/] "
            f"until {when(trial['until'])}; else revision {trial['base']} returns"
        )
    revision = status["revision"] if status["revision"] is not None else "none"
    out.print(f"node {escape(status['node'])} · {status['role']} · revision {revision}")


def show_service(status: Json) -> None:
    """One service with a line for each server."""
    show_status(status)
    grid = table("server", "address", "weight", "admin", "verdict", "active", "longest", "total", "reason")
    for server in status["services"][0]["servers"]:
        grid.add_row(
            escape(server["host"]),
            f"{server['address']}:{server['port']}",
            _weight(server),
            _admin(server),
            server["verdict"],
            str(server["sessions"]["active"]),
            _lasting(server["sessions"]["longest_s"]),
            str(server["sessions"]["total"]),
            escape(server["reason"]),
        )
    out.print(grid)


def show_order(answer: Json) -> None:
    """What an order touched, and until when it holds."""
    count = len(answer["services"])
    until = f" until {when(answer['until'])}" if answer["until"] is not None else ""
    out.print(f"{answer['where']}: {answer['admin']} in {count} service{'s' if count != 1 else ''}{until}")
    if answer["sessions"] is not None:
        out.print(_carried(answer["sessions"]))
    if answer["without_servers"]:
        out.print(f"[red]■ now without servers:[/] {', '.join(answer['without_servers'])}")


def show_applied(answer: Json) -> None:
    """Which revision runs, and until when somebody must confirm it."""
    out.print(f"revision {answer['revision']} is running")
    for i in answer["impact"]:
        if i["effect"] == "drops":
            out.print(f"[red]■[/] {escape(i['service'])}: {_effect(i)}, since {escape(i['why'])}")
    if answer["confirm_until"] is not None:
        out.print(
            f"[yellow]▲ only until {when(answer['confirm_until'])}:[/] keep it with 'willis confirm', "
            "or take it back at once with 'willis undo'"
        )


def show_diff(answer: Json) -> None:
    """Lines as ``diff -u`` prints them."""
    if not answer["diff"]:
        out.print(f"revisions {answer['old']} and {answer['new']} have the same document")
    _show_lines(answer["diff"])


def _show_lines(lines: list[str]) -> None:
    for line in lines:
        colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
        out.print(f"[{colour}]{escape(line)}[/]" if colour else escape(line), soft_wrap=True)


def show_plan(plan: Json, diff: bool = False) -> None:
    """The impact first, then every change. ``diff``: and every line."""
    if diff:
        _show_lines(plan["document"])
        for c in plan["changes"]:
            out.print(f"[bold]{c['engine']} {escape(c['key'])}[/]")
            _show_lines(c["diff"])
    _show_impact(plan)
    if plan["changes"]:
        grid = table("engine", "action", "what", "how")
        for c in plan["changes"]:
            grid.add_row(c["engine"], c["action"], escape(c["key"]), c["how"])
        out.print(grid)
    if not plan["guard"]["ok"]:
        out.print(f"[red]■ the guard refuses this plan:[/] it {escape(plan['guard']['reason'])}")
    show_problems(plan["problems"])
    out.print(f"base revision {plan['base'] or 'none'} · plan {plan['checksum']}")


def _show_impact(plan: Json) -> None:
    touched = [i for i in plan["impact"] if i["effect"] != "none"]
    if not plan["changes"] and not touched:
        out.print("Nothing would change.")
    if touched:
        grid = table("service", "open now", "effect", "why")
        for i in touched:
            grid.add_row(escape(i["service"]), str(i["sessions"]), _effect(i), escape(i["why"]))
        out.print(grid)
        others = len(plan["impact"]) - len(touched)
        out.print(f"no effect on {others} other service{'s' if others != 1 else ''}")


def _effect(row: Json) -> str:
    if row["effect"] != "drops":
        return "new sessions only"
    return f"[red]drops {row['drops']} session{'s' if row['drops'] != 1 else ''}[/]"


def show_explanation(found: Json) -> None:
    """The verdict in a sentence, what to try, and the transcript."""
    out.print(f"[bold]{escape(found['sentence'])}[/]\n{escape(found['advice'])}")
    for look in found["checks"]:
        word = "[green]good[/]" if look["ok"] else "[red]failed[/]"
        out.print(f"\nlast {word} check · {when(look['at'])} · {look['kind']} · {look['took_ms']} ms")
        _show_transcript(look)
        out.print(f"  meaning   {escape(look['decoded'])}")


def show_check(found: Json) -> None:
    """Each question with its transcript, and how loud the check is."""
    for look in found["checks"]:
        word = "[green]● good[/]" if look["ok"] else f"[red]■ {look['verdict']}[/]"
        out.print(f"{word} · {look['kind']} · {look['took_ms']} ms")
        _show_transcript(look)
        out.print(f"  meaning   {escape(look['decoded'])}")
    out.print(f"[dim]its check makes the server log about {found['log_lines_a_day']:,} lines a day[/]")


def _show_transcript(look: Json) -> None:
    """Line by line with its times, where a look has more than one question and one answer."""
    if len(look["transcript"]) < 3:
        out.print(f"  sent      {escape(look['sent'])}\n  received  {escape(look['received'])}")
        return
    for step in look["transcript"]:
        way = "sent    " if step["sent"] else "received"
        out.print(f"  {way}  {escape(step['what'])} [dim]· {step['after_ms']} ms[/]")


def show_sessions(found: Json) -> None:
    """The clients that persistence ties to a server."""
    if not found["clients"]:
        out.print(f"{escape(found['service'])} ties no client now.")
        return
    grid = table("client", "server", "time left")
    for tie in found["clients"]:
        grid.add_row(tie["client"], escape(tie["host"]), f"{tie['seconds_left']:.0f} s")
    out.print(grid)


def show_backup(at: float, node: str, site: str, revision: int | None, certificates: tuple[str, ...]) -> None:
    """What a backup is of."""
    names = ", ".join(certificates) or "none"
    out.print(f"node {escape(node)}, site {escape(site)}, revision {revision or 'none'}, of {when(at)}")
    out.print(f"certificates: {escape(names)}")


def show_history(history: Json) -> None:
    """The revisions, newest first."""
    if not history["revisions"]:
        out.print("No revision yet: apply a document with 'willis apply FILE'.")
        return
    grid = table("revision", "state", "when", "author", "reason")
    for r in history["revisions"]:
        reason = r["note"] or r["reason"]
        grid.add_row(str(r["revision"]), r["state"], when(r["at"]), escape(r["author"]), escape(reason))
    out.print(grid)


def _mode(service: Json) -> str:
    return (
        f"L7 {service['forwarding']}" if service["forwarding"] == "proxy" else f"L4 {service['forwarding']}"
    )


def _weight(server: Json) -> str:
    """The document's weight, and what it is now where that is less."""
    full, now = server["weight"], server["weight_now"]
    return str(full) if now == full else f"{now} of {full}"


def _admin(server: Json) -> str:
    """The administrative state, and what becomes of it by itself."""
    words = [server["admin"]]
    if server["until"] is not None:
        words.append(f"until {datetime.fromtimestamp(server['until'], UTC).astimezone():%H:%M}")
    if server["halt_when_idle"]:
        words.append("then halt")
    return " ".join(words)


def _closed(server: Json) -> str:
    word = server["admin"] if server["admin"] != "online" else server["verdict"]
    colour = "red" if server["standing"] == "down" else "yellow"
    return f"[{colour}]{escape(server['host'])} {word}[/]"


def _servers(service: Json) -> str:
    """How many servers take connections, and by name those that do not or that get less."""
    servers = service["servers"]
    closed = [s for s in servers if s["standing"] != "open" or s["by_floor"]]
    busy = [s for s in servers if s["verdict"] == "busy" and s not in closed]
    words = [f"{len(servers) - len(closed)}/{len(servers)}", *map(_closed, [*closed, *busy])]
    fallback = service["fallback"]
    if any(s["by_floor"] for s in servers):
        words.append("[red]■ kept by the floor[/]")
    if fallback and fallback["in_use"]:
        words.append(f"[yellow]→ fallback {escape(fallback['host'])}[/]")
    return " ".join(words)


def _carried(sessions: Json) -> str:
    active, longest = sessions["active"], sessions["longest_s"]
    count = f"{active} connection{'s' if active != 1 else ''} open now"
    return count if longest is None else f"{count}, the longest for {_lasting(longest)}"


def _lasting(seconds: float | None) -> str:
    """A duration in its two largest units: 42s, 5m10s, 3h05m, 2d04h."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours:02}h"
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def _ports(ports: list[int]) -> str:
    """Runs of neighbours as ranges: 21,8000-8010."""
    runs: list[list[int]] = []
    for port in ports:
        if runs and port == runs[-1][-1] + 1:
            runs[-1].append(port)
        else:
            runs.append([port])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def size(count: float) -> str:
    """Bytes in a readable unit."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def when(at: float) -> str:
    """Local time with its offset."""
    return datetime.fromtimestamp(at, UTC).astimezone().isoformat(sep=" ", timespec="seconds")
