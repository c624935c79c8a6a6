/** A sample of a room's mutants: windows of a few lines, drawn from its files with equal chances for every window. */

export type Window = { readonly file: string; readonly from: number; readonly to: number }

const lines = 4

/** `random` gives numbers in [0, 1). Windows never overlap; with fewer lines than windows, every line is in one. */
export const sampleWindows = (
  lengths: readonly { readonly file: string; readonly lines: number }[],
  count: number,
  random: () => number,
): readonly Window[] => {
  const windows = lengths.flatMap(({ file, lines: length }) =>
    Array.from({ length: Math.ceil(length / lines) }, (_, i) => ({ file, from: i * lines + 1, to: Math.min(length, (i + 1) * lines) })),
  )
  return windows
    .map((window) => ({ window, key: random() }))
    .sort((a, b) => a.key - b.key)
    .slice(0, count)
    .map(({ window }) => window)
}
