# SPDX-License-Identifier: GPL-2.0
"""Charts as SVG, in plain text: bars with a goal, and lines over two logarithmic axes."""

import math
from html import escape

FONT = 'font-family="sans-serif" font-size="12"'
# Readable on white and on black: the page may be either.
STYLE = """<style>
text{fill:#333}.axis{stroke:#999}.met{fill:#3a7d44}.short{fill:#c0392b}.plain{fill:#4a7fb5}.goal{stroke:#111;stroke-width:2}
.a{stroke:#c0792b;fill:none;stroke-width:2}.b{stroke:#4a7fb5;fill:none;stroke-width:2}
@media (prefers-color-scheme:dark){text{fill:#ddd}.goal{stroke:#eee}}
</style>"""


def _svg(width, height, title, body):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" {FONT}>\n'
            f'<title>{escape(title)}</title>\n{STYLE}\n<text x="8" y="18" font-weight="bold">{escape(title)}</text>\n'
            + "\n".join(body) + "\n</svg>\n")


def bars(title, items):
    """Items (name, value, goal or None, met or None), as bars from 0. The thin line is at 1."""
    left, scale_width, step = 370, 360, 22
    top = 34
    # A few long bars must not make the others invisible.
    longest = max(1.0, *(v for _, v, _, _ in items), *(g for _, _, g, _ in items if g))
    full = min(longest, 4.0)
    x = lambda v: left + min(v, full) / full * scale_width
    height = top + step * len(items) + 12
    body = [f'<line class="axis" x1="{x(1):.1f}" x2="{x(1):.1f}" y1="{top - 6}" y2="{height - 8}" stroke-dasharray="3 3"/>']
    for i, (name, value, goal, met) in enumerate(items):
        y = top + i * step
        kind = {None: "plain", True: "met", False: "short"}[met]
        body.append(f'<text x="{left - 8}" y="{y + 12}" text-anchor="end">{escape(name)}</text>')
        body.append(f'<rect class="{kind}" x="{left}" y="{y}" width="{x(value) - left:.1f}" height="15"/>')
        if goal:
            body.append(f'<line class="goal" x1="{x(goal):.1f}" x2="{x(goal):.1f}" y1="{y - 2}" y2="{y + 17}"/>')
        text = f"{value:.2f}"
        if goal is not None and goal != 1.0:
            text += f" (goal {goal:g})"
        if met is False:
            text += " SHORT"
        body.append(f'<text x="{max(x(value), x(goal or 0)) + 6:.1f}" y="{y + 12}">{escape(text)}</text>')
    return _svg(left + scale_width + 150, height, title, body)


def lines(title, named):
    """Named lists of points (x, y), on logarithmic axes."""
    left, top, width, height = 70, 34, 480, 260
    xs = [x for _, points in named for x, _ in points]
    ys = [y for _, points in named for _, y in points]
    x0, x1 = math.log10(min(xs)), math.log10(max(xs))
    y0, y1 = math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys)))
    px = lambda v: left + (math.log10(v) - x0) / ((x1 - x0) or 1) * width
    py = lambda v: top + height - (math.log10(v) - y0) / ((y1 - y0) or 1) * height
    body = [f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" class="axis"/>']
    for n in range(y0, y1 + 1):
        body.append(f'<text x="{left - 6}" y="{py(10 ** n) + 4:.1f}" text-anchor="end">{10 ** n:,}</text>')
    for v in sorted(set(xs)):
        body.append(f'<text x="{px(v):.1f}" y="{top + height + 16}" text-anchor="middle">{v:,}</text>')
    for (name, points), kind in zip(named, "ab"):
        path = " ".join(f"{px(x):.1f},{py(y):.1f}" for x, y in points)
        body.append(f'<polyline class="{kind}" points="{path}"/>')
        x, y = points[-1]
        body.append(f'<text x="{px(x) + 6:.1f}" y="{py(y) + 4:.1f}">{escape(name)}: {y:,.0f}</text>')
    return _svg(left + width + 170, top + height + 26, title, body)
