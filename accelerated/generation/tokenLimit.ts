/** The tokens that may come next in a text of a grammar: an automaton over bytes, whose states each have a mask of the vocabulary. */

/** One state of a limit: what may come, and whether the text may end. */
export type LimitState = object

/** What limits the tokens of a text. A state belongs to no text: several may share it. */
export type TokenLimit = {
  readonly start: LimitState
  /** by token: 1 for one that may come; an end token may come where the text may end */
  readonly allowed: (state: LimitState) => Uint8Array
  readonly next: (state: LimitState, token: number) => LimitState
  /** whether the text is complete, and nothing can follow */
  readonly isOver: (state: LimitState) => boolean
}
