/** A mutation of meaning: one mistake that a person makes, in one file, and the tests that have to notice it. */

export type Mutation = {
  /** from the root of the repository */
  readonly file: string
  /** what a reviewer would say of it */
  readonly mistake: string
  /** occurs exactly once in the file */
  readonly before: string
  readonly after: string
  /** below property-tests/, without `.test.ts` */
  readonly tests: readonly string[]
}

/** Mutations by area, which is a folder. */
export type Areas = Readonly<Record<string, readonly Mutation[]>>

export const testFile = (test: string): string => `property-tests/${test}.test.ts`

/** The mutated text; null if `before` does not occur exactly once. */
export const mutate = (text: string, { before, after }: Pick<Mutation, 'before' | 'after'>): string | null => {
  const [first, last] = [text.indexOf(before), text.lastIndexOf(before)]
  return first < 0 || first !== last ? null : text.slice(0, first) + after + text.slice(first + before.length)
}

/** Those below a folder (or in a file), and of these `count`, spread evenly. */
export const select = (areas: Areas, { below = '', count = Infinity }: { readonly below?: string; readonly count?: number }): Areas => {
  const within = (file: string): boolean => file === below || file.startsWith(below === '' || below.endsWith('/') ? below : `${below}/`)
  const all = Object.entries(areas).flatMap(([area, mutations]) =>
    mutations.filter(({ file }) => within(file)).map((mutation) => ({ area, mutation })),
  )
  const step = Math.max(1, all.length / count)
  const chosen = all.filter((_, i) => Math.floor(i / step) !== Math.floor((i - 1) / step))
  return Object.fromEntries(
    Object.keys(areas)
      .map((area) => [area, chosen.filter((one) => one.area === area).map(({ mutation }) => mutation)] as const)
      .filter(([, mutations]) => mutations.length > 0),
  )
}
