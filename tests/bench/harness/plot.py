"""Bar charts as SVG, without a plotting library: one file per section."""

from xml.sax.saxutils import escape

WIDTH, LABEL, BAR, GAP, TOP = 860, 300, 16, 6, 64
COLOURS = {"limit": "#7f8c8d", "peer": "#4c78a8", "ours": "#e4572e"}


def number(value):
    """Three significant digits, no exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def bars(title, unit, entries):
    """The text of an SVG file; entries are (label, role, value), drawn in order."""
    longest = max(value for _, _, value in entries)
    scale = (WIDTH - LABEL - 80) / longest if longest else 0
    height = TOP + len(entries) * (BAR + GAP) + 12
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">',
             f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
             f'<text x="12" y="22" font-size="15">{escape(title)}</text>', legend(unit)]
    for index, (label, role, value) in enumerate(entries):
        y = TOP + index * (BAR + GAP)
        length = max(1.0, value * scale)
        parts.append(f'<text x="{LABEL - 8}" y="{y + 12}" text-anchor="end">{escape(label)}</text>'
                     f'<rect x="{LABEL}" y="{y}" width="{length:.1f}" height="{BAR}" fill="{COLOURS[role]}"/>'
                     f'<text x="{LABEL + length + 6:.1f}" y="{y + 12}">{number(value)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def legend(unit):
    """The unit and the three colours."""
    parts = [f'<text x="12" y="44" fill="#444">{escape(unit)}</text>']
    for index, (role, text) in enumerate((("limit", "limit (C, no library)"), ("peer", "peer"), ("ours", "libprocs"))):
        x = LABEL + index * 170
        parts.append(f'<rect x="{x}" y="34" width="12" height="12" fill="{COLOURS[role]}"/><text x="{x + 18}" y="44">{text}</text>')
    return "".join(parts)
