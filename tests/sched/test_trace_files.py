"""The trace as files, read by other programs than ours: the JSON by Python, the picture by an XML parser."""

import json
import pathlib
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

SVG = "{http://www.w3.org/2000/svg}"
WILD = "gpu<0>&\"' ?"


def check_svg(path):
    root = ElementTree.parse(path).getroot()
    assert root.tag == SVG + "svg", root.tag
    width, height = float(root.get("width")), float(root.get("height"))
    for box in root.iter(SVG + "rect"):
        if box.get("width") == "100%":
            continue
        x, y, w, h = (float(box.get(key)) for key in ("x", "y", "width", "height"))
        assert 0 <= x and x + w <= width + 0.5 and 0 <= y and y + h <= height and w >= 0 and h > 0, box.attrib
    texts = ["".join(text.itertext()) for text in root.iter(SVG + "text")]
    assert "Work on devices over time" in texts, texts
    return root, texts


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        subprocess.run([sys.argv[1], folder], check=True)
        root, texts = check_svg(folder / "trace.svg")
        for wanted in ("cpu:0", WILD, "worker 0", "worker 1", "host", "jobs in flight", "decoding step", "tokens/s"):
            assert wanted in texts, (wanted, texts)
        assert any(text.startswith("301 jobs: 120 succeeded, 61 cancelled, 60 past their deadline, 60 failed") for text in texts), texts
        levels = [event["args"] for event in json.loads((folder / "trace.json").read_text())["traceEvents"] if event["ph"] == "C"]
        assert str(max(level["waiting"] + level["running"] for level in levels)) in texts, texts
        titles = [title.text for title in root.iter(SVG + "title")]
        assert "decode, 1.9 ms at 5 ms: jobs 2, rows 3, tokens 4" in titles, titles[:5]
        assert len(list(root.iter(SVG + "rect"))) < 5000

        # Worker 0 of cpu:0 is busy for half of its time and then for less than half: columns of full height, then of 12 or so of 26.
        lanes = [float(box.get("y")) for box in root.iter(SVG + "rect") if box.get("class") == "lane"]
        narrow = [box for box in root.iter(SVG + "rect") if box.find(SVG + "title") is None and box.get("class") in ("decode", "encode")]
        per_ms = 1000 / (4 + 299 * 0.32 + 9 - 1)        # from the first span, 1 ms, to the end of the last job
        areas = [0.0, 0.0]
        for box in narrow:
            if lanes[1] <= float(box.get("y")) < lanes[2]:
                areas[float(box.get("x")) >= 190 + 53 * per_ms] += float(box.get("width")) * float(box.get("height"))
        assert 0.9 < areas[0] / (26 * 50 * per_ms) < 1.1, areas
        assert 0.9 < areas[1] / (26 * 50 * per_ms * 0.45) < 1.1, areas
        _, texts = check_svg(folder / "empty.svg")
        assert "no span was kept" in texts, texts
        check_svg(folder / "moment.svg")
        events = json.loads((folder / "trace.json").read_text())["traceEvents"]
        assert sum(event["ph"] == "X" for event in events) == 1 + 5000 + 50 + 100
        for event in events:
            if event["ph"] == "X":
                assert event["ts"] >= 0 and event["dur"] >= 0 and event["pid"] > 0 and event["tid"] > 0, event


if __name__ == "__main__":
    sys.exit(main())
