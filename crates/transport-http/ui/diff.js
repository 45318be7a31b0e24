// A line diff: the longest common subsequence after common ends are cut off.

// Above this many cells the table would cost more than a reader gains: the whole middle counts as changed.
const CELLS = 4_000_000;

/** [{ mark: " " | "-" | "+", text }] that turns `before` into `after`. */
export function diff(before, after) {
  const a = before.split("\n");
  const b = after.split("\n");
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a.at(-1 - tail) === b.at(-1 - tail)) tail += 1;
  const same = (lines) => lines.map((text) => ({ mark: " ", text }));
  return [
    ...same(a.slice(0, head)),
    ...middle(a.slice(head, a.length - tail), b.slice(head, b.length - tail)),
    ...same(a.slice(a.length - tail)),
  ];
}

function middle(a, b) {
  const gone = (text) => ({ mark: "-", text });
  const come = (text) => ({ mark: "+", text });
  if (a.length * b.length > CELLS) return [...a.map(gone), ...b.map(come)];
  const width = b.length + 1;
  const lengths = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      lengths[i * width + j] = a[i] === b[j]
        ? lengths[(i + 1) * width + j + 1] + 1
        : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
    }
  }
  const out = [];
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) {
      out.push({ mark: " ", text: a[i] });
      i += 1;
      j += 1;
    } else if (lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) {
      out.push(gone(a[i]));
      i += 1;
    } else {
      out.push(come(b[j]));
      j += 1;
    }
  }
  return [...out, ...a.slice(i).map(gone), ...b.slice(j).map(come)];
}

/** Only changed lines and `around` lines beside them; what is left out becomes one `…` line. */
export function shortened(lines, around = 3) {
  const near = lines.map((_, index) =>
    lines.slice(Math.max(0, index - around), index + around + 1).some((line) => line.mark !== " "));
  const out = [];
  lines.forEach((line, index) => {
    if (near[index]) out.push(line);
    else if (out.at(-1)?.mark !== "…") out.push({ mark: "…", text: "" });
  });
  return out;
}
