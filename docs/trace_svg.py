#!/usr/bin/python3
"""Draws a piece of a trace as SVG: docs/trace.svg is one.  trace_svg.py TRACE.json BEGIN_US LENGTH_US > OUT.svg"""
import html
import json
import sys

WIDTH, LEFT, ROW = 1000, 150, 22
COLOURS = ["#7aa6d6", "#8fc79a", "#e0b96a", "#d98f8f", "#a99bd1", "#76bfc0", "#c9a07f", "#b5b56b"]
WAITS = {"read": "#d7dde5", "runnable": "#f2d7a6"}


def main(path, begin, length):
    events = json.load(open(path))["traceEvents"]
    names = {e["tid"]: e["args"]["name"] for e in events if e["name" if "name" in e else "ph"] == "thread_name"}
    end, out, opened, slices, waits, marks = begin + length, [], {}, [], {}, []
    for e in events:
        if e["ph"] == "B":
            opened[e["tid"]] = e
        elif e["ph"] == "E":
            b = opened.pop(e["tid"])
            slices.append((b["tid"], b["ts"], e["ts"], b["name"], b["args"]["gthread"], e["args"]["then"]))
        elif e["ph"] == "b":
            opened[e["id"]] = e
        elif e["ph"] == "e":
            b = opened.pop(e["id"])
            waits.setdefault(b["args"]["gthread"], []).append((b["ts"], e["ts"], b["name"], b["args"].get("fd")))
        elif e["ph"] == "i" and begin <= e["ts"] <= end:
            marks.append((e["tid"], e["ts"]))
    slices = [s for s in slices if s[2] > begin and s[1] < end]
    tracks = sorted({s[0] for s in slices})
    shown = sorted({s[4] for s in slices})[:12]
    rows = [names[t] for t in tracks] + [next(s[3] for s in slices if s[4] == g) for g in shown]

    def x(ts):
        return LEFT + (min(max(ts, begin), end) - begin) / length * (WIDTH - LEFT - 10)

    def box(row, a, b, colour, text, title):
        w = max(x(b) - x(a), 0.5)
        out.append(f'<rect x="{x(a):.1f}" y="{30 + row * ROW}" width="{w:.1f}" height="{ROW - 4}" fill="{colour}"><title>{html.escape(title)}</title></rect>')
        if w > 7 * len(text):
            out.append(f'<text x="{x(a) + 3:.1f}" y="{30 + row * ROW + 13}">{html.escape(text)}</text>')

    for track, a, b, name, g, then in slices:
        colour = COLOURS[g % len(COLOURS)]
        box(tracks.index(track), a, b, colour, str(g), f"{name}: {b - a:.1f} us, then {then}")
        if g in shown:
            box(len(tracks) + shown.index(g), a, b, colour, "", f"runs {b - a:.1f} us")
    for g in shown:
        for a, b, what, fd in waits.get(g, []):
            if b > begin and a < end:
                text = what if fd is None else f"{what} fd {fd}"
                box(len(tracks) + shown.index(g), a, b, WAITS.get(what, "#e7e7e7"), text, f"{text}: {b - a:.1f} us")
    for track, ts in marks:
        if track in tracks:
            y = 30 + tracks.index(track) * ROW
            out.append(f'<path d="M{x(ts):.1f} {y - 3}v{ROW - 1}" stroke="#444" stroke-width="0.6"/>')
    height = 40 + len(rows) * ROW
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="11">')
    print(f'<rect width="{WIDTH}" height="{height}" fill="white"/>')
    print(f'<text x="{LEFT}" y="18">{length:g} us; lines: I/O events, hand-offs, spawns and ends</text>')
    for i, name in enumerate(rows):
        print(f'<text x="8" y="{30 + i * ROW + 13}">{html.escape(name)}</text>')
    print("\n".join(out))
    print("</svg>")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
