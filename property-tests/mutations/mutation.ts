/** A mutation: one mistake of meaning that a person makes in one file, and the tests that have to catch it. */

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

export const testFile = (test: string): string => `property-tests/${test}.test.ts`

/** `accelerated/graph` for `accelerated/graph/vjps.ts`, `cli` for `cli/format/answers.ts` */
export const roomName = (file: string): string =>
  /^(?:accelerated|finetuning)\/[^/]+(?=\/)/.exec(file)?.[0] ?? file.slice(0, file.indexOf('/'))

/** The mutated text; null if `before` does not occur exactly once. */
export const mutate = (text: string, { before, after }: Pick<Mutation, 'before' | 'after'>): string | null => {
  const [first, last] = [text.indexOf(before), text.lastIndexOf(before)]
  return first < 0 || first !== last ? null : text.slice(0, first) + after + text.slice(first + before.length)
}

/** The mutations below a folder (or in a file), or `count` of them, spread evenly. */
export const select = (
  mutations: readonly Mutation[],
  { below = '', count = Infinity }: { readonly below?: string; readonly count?: number },
): readonly Mutation[] => {
  const prefix = below === '' || below.endsWith('/') ? below : `${below}/`
  const within = mutations.filter(({ file }) => file === below || file.startsWith(prefix))
  const step = Math.max(1, within.length / count)
  return within.filter((_, i) => Math.floor(i / step) !== Math.floor((i - 1) / step))
}
