"""The theme brings two thousand icons in a script of half a megabyte, compressed; a site keeps those that it shows."""

import json
import re
from pathlib import Path

from medsr_course.runtime import CourseError

SCRIPT = Path("_static", "scripts", "fontawesome.js")
SIZES = {"fa-lg", "fa-fw", "fa-solid", "fa-regular", "fa-brands"}  # looks of an icon, and no icons
# Font Awesome Free writes each icon as name:[width,height,[other names],"unicode","path"].
ICON = r'[{,]["\']?%s["\']?:\[(\d+),(\d+),\[[^\]]*\],"[0-9a-f]+","([^"]+)"\]'
DRAWN = """/*! Icons of Font Awesome Free: see fontawesome.js.LICENSE.txt */
(() => {
  const icons = %s;
  for (const place of document.querySelectorAll("i[class*='fa-']")) {
    const name = [...place.classList].find((word) => icons[word]);
    if (!name) continue;
    const [width, height, path] = icons[name];
    const drawn = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    for (const { name, value } of place.attributes) if (name !== "title") drawn.setAttribute(name, value);
    drawn.classList.add("svg-inline--fa");
    drawn.setAttribute("viewBox", `0 0 ${width} ${height}`);
    drawn.setAttribute("aria-hidden", "true");
    drawn.innerHTML = `<path fill="currentColor" d="${path}"/>`;
    place.replaceWith(drawn);
  }
})();
"""


def keep_shown(site: Path) -> list[str]:
    """Put in the place of the theme's script one with the icons of these pages; returns their names.

    ``CourseError`` where the script has no such icon, as after a change of the theme.
    """
    places = (re.findall(r'<i class="([^"]*)"', page.read_text(encoding="utf-8")) for page in site.rglob("*.html"))
    words = {word for found in places for place in found for word in place.split() if word.startswith("fa-")}
    whole = (site / SCRIPT).read_text(encoding="utf-8")
    icons = {}
    for word in sorted(words - SIZES):
        found = re.search(ICON % re.escape(word[3:]), whole)
        if not found:
            raise CourseError(f"the theme has no icon {word}, or writes its icons in another way: see book/icons.py")
        icons[word] = (int(found[1]), int(found[2]), found[3])
    (site / SCRIPT).write_text(DRAWN % json.dumps(icons), encoding="utf-8")
    (site / SCRIPT).with_name(f"{SCRIPT.name}.map").unlink(missing_ok=True)
    return list(icons)
