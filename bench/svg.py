"""Draws curves over a logarithmic axis as SVG text; no dependency. Called by scale.py; knows nothing of what it draws."""
import math
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 360, 80, 20, 60, 50
COLOURS = "#1b6ca8", "#c8553d", "#3a7d44", "#7a4fa3"


def chart(title, across, curves):
    """curves: {name: [(x, y), ...]}, x above 0. The other axis begins at 0, so that a flat curve looks flat."""
    xs = [x for points in curves.values() for x, _ in points]
    low, high = math.log10(min(xs)), math.log10(max(xs))
    top = nice(max(y for points in curves.values() for _, y in points))

    def at(x, y):
        return (LEFT + (WIDTH - LEFT - RIGHT) * ((math.log10(x) - low) / (high - low) if high > low else 0.5),
                HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * y / top)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>', f'<text x="{LEFT}" y="22" font-size="15">{escape(title)}</text>']
    for step in range(5):
        _, y = at(10 ** low, top * step / 4)
        out.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#ddd"/>'
                   f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{top * step / 4:,.6g}</text>')
    for power in range(math.ceil(low), math.floor(high) + 1):
        x, _ = at(10 ** power, 0)
        out.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{10 ** power:,}</text>')
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">{escape(across)}</text>')
    for number, (name, points) in enumerate(curves.items()):
        colour, places = COLOURS[number % len(COLOURS)], [at(x, y) for x, y in points]
        out.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        out.append(f'<text x="{LEFT + 220 * number}" y="42" fill="{colour}">{escape(name)}</text>')
    return "\n".join(out) + "\n</svg>\n"


def nice(value):
    """The next of 1, 2, 4, 8 times a power of ten."""
    power = 10 ** math.floor(math.log10(max(value, 1e-9)))
    return next(step * power for step in (1, 2, 4, 8, 10) if step * power >= value)
