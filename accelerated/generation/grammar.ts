/** Grammars over bytes, and for each of their states the tokens of a vocabulary that may come next: what a limited answer is chosen from. */
import { inputError } from '../errors/inputError.js'

/** A language over the bytes of UTF-8. All lists are finite and shared parts are one object, so that a grammar is as small as its source. */
export type Grammar =
  | { readonly kind: 'text'; readonly bytes: Uint8Array }
  /** one byte in one of these ranges, ends included */
  | { readonly kind: 'byte'; readonly ranges: readonly (readonly [first: number, last: number])[] }
  | { readonly kind: 'sequence'; readonly parts: readonly Grammar[] }
  | { readonly kind: 'choice'; readonly options: readonly Grammar[] }
  /** `item` at least `min` times; it is never empty */
  | { readonly kind: 'repeat'; readonly item: Grammar; readonly min: number; readonly max: number }
  /** built once it is reached; always the same object */
  | { readonly kind: 'later'; readonly build: () => Grammar }

const utf8 = new TextEncoder()
export const literal = (text: string): Grammar => ({ kind: 'text', bytes: utf8.encode(text) })
export const byteIn = (...ranges: readonly (readonly [number, number])[]): Grammar => ({ kind: 'byte', ranges })
export const sequence = (...parts: readonly Grammar[]): Grammar => ({ kind: 'sequence', parts })
export const choice = (...options: readonly Grammar[]): Grammar => ({ kind: 'choice', options })
export const repeat = (item: Grammar, min: number, max: number): Grammar => ({ kind: 'repeat', item, min, max })
export const later = (build: () => Grammar): Grammar => {
  let grammar: Grammar | null = null
  return { kind: 'later', build: () => (grammar ??= build()) }
}

/** A grammar, the number of its parts that are read, and what comes after it. */
type Frame = { readonly grammar: Grammar; readonly at: number; readonly rest: Frame | null; readonly number: number }

/** Frames, of which equal ones are one object. */
const frameTable = () => {
  let [table, created, kept] = [new Map<Grammar, Map<string, Frame>>(), 0, 0]
  return {
    count: () => kept,
    forget: (): void => {
      ;[table, kept] = [new Map(), 0]
    },
    frame: (grammar: Grammar, at: number, rest: Frame | null): Frame => {
      const [same, key] = [table.get(grammar) ?? new Map<string, Frame>(), `${at}:${rest?.number ?? ''}`]
      const old = same.get(key)
      if (old !== undefined) return old
      const one = { grammar, at, rest, number: created++ }
      kept++
      table.set(grammar, same.set(key, one))
      return one
    },
  }
}

type MakeFrame = ReturnType<typeof frameTable>['frame']

/** What a frame may read next: frames of its parts, or null for the end of the text; undefined: the frame itself reads a byte. */
const expand = ({ grammar, at, rest }: Frame, frame: MakeFrame): readonly (Frame | null)[] | undefined => {
  if (grammar.kind === 'choice') return grammar.options.map((option) => frame(option, 0, rest))
  if (grammar.kind === 'later') return [frame(grammar.build(), 0, rest)]
  if (grammar.kind === 'sequence') {
    const part = grammar.parts[at]
    return [part === undefined ? rest : frame(part, 0, at + 1 < grammar.parts.length ? frame(grammar, at + 1, rest) : rest)]
  }
  if (grammar.kind === 'repeat') {
    const count = grammar.max === Infinity ? Math.min(at + 1, grammar.min) : at + 1
    return [...(at >= grammar.min ? [rest] : []), ...(at < grammar.max ? [frame(grammar.item, 0, frame(grammar, count, rest))] : [])]
  }
  return grammar.kind === 'text' && grammar.bytes.length === 0 ? [rest] : undefined
}

/** What may come after a byte; undefined: the byte does not fit. */
const afterByte = ({ grammar, at, rest }: Frame, byte: number, frame: MakeFrame): Frame | null | undefined => {
  if (grammar.kind === 'byte') return grammar.ranges.some(([first, last]) => byte >= first && byte <= last) ? rest : undefined
  if (grammar.kind !== 'text' || grammar.bytes[at] !== byte) return undefined
  return at + 1 < grammar.bytes.length ? frame(grammar, at + 1, rest) : rest
}

/** What may come after the bytes so far. */
type State = {
  /** those that read a byte next */
  readonly frames: readonly Frame[]
  /** whether the bytes so far are a text of the language */
  readonly accepts: boolean
  /** by byte, filled in when a byte is first asked for; null: no text of the language begins so */
  readonly next: (State | null)[]
  /** states of one age are of one table */
  readonly age: number
  mask: Uint32Array | null
}

/** A token that adds more bytes is never chosen. */
const longestToken = 128

/** States, their frames, and bytes of masks that are kept: beyond them, all are forgotten and built anew. */
const [mostStates, mostFrames, mostMaskBytes] = [4_096, 65_536, 2 ** 25]

/** Steps of one token. An ordinary grammar takes some thousand. */
const mostSteps = 2 ** 20

/** The states of a grammar, built as they are reached. @throws InputError if a token takes too many steps */
const openStates = (root: Grammar) => {
  const { frame, count, forget } = frameTable()
  let [states, age, steps, maskBytes] = [new Map<string, State>(), 0, 0, 0]
  const addSteps = (more: number): void => {
    steps += more
    if (steps > mostSteps) throw inputError('the grammar', 'alternatives that differ early', `more than ${mostSteps} steps for a token`)
  }
  const findState = (from: readonly (Frame | null)[]): State => {
    const [waiting, seen, frames] = [[...from], new Set(from), [] as Frame[]]
    for (let one = waiting.pop(); one !== undefined; one = waiting.pop()) {
      const expanded = one === null ? [] : expand(one, frame)
      addSteps(1 + (expanded?.length ?? 0))
      if (expanded === undefined && one !== null) frames.push(one)
      for (const part of expanded ?? []) if (!seen.has(part)) waiting.push(part)
      for (const part of expanded ?? []) seen.add(part)
    }
    const accepts = seen.has(null)
    const key = `${accepts}:${frames.map(({ number }) => number).sort((a, b) => a - b)}`
    const state = states.get(key) ?? { frames, accepts, next: [], age, mask: null }
    states.set(key, state)
    return state
  }
  return {
    start: (): State => findState([frame(root, 0, null)]),
    advance: (from: State, byte: number): State | null => {
      const cached = from.next[byte]
      if (cached !== undefined) return cached
      addSteps(from.frames.length)
      const after = from.frames.map((one) => afterByte(one, byte, frame)).filter((one) => one !== undefined)
      const next = after.length === 0 ? null : findState(after)
      if (next === null || next.age === from.age) from.next[byte] = next // older states must not keep later ones
      return next
    },
    /** Before each token: counts its steps anew, and forgets what takes too much memory. */
    beginToken: (): void => {
      steps = 0
      if (states.size <= mostStates && count() <= mostFrames && maskBytes <= mostMaskBytes) return
      forget()
      ;[states, age, maskBytes] = [new Map(), age + 1, 0]
    },
    keepMask: (state: State, mask: Uint32Array): void => {
      state.mask = mask
      maskBytes += mask.byteLength
    },
  }
}

/** The tokens that have bytes, in the order of their bytes. */
type SortedTokens = {
  readonly size: number
  readonly ids: readonly number[]
  /** a character for each byte */
  readonly texts: readonly string[]
  /** how many bytes a token shares with the one before it */
  readonly shared: Uint8Array
}

/** @param bytes that a token adds to a text; null: it adds none, as a special token */
export const sortTokens = (size: number, bytes: (id: number) => Uint8Array | null): SortedTokens => {
  const tokens = Array.from({ length: size }, (_, id) => ({ id, bytes: bytes(id) ?? new Uint8Array(0) }))
    .filter((token) => token.bytes.length > 0 && token.bytes.length <= longestToken)
    .map((token) => ({ id: token.id, text: String.fromCharCode(...token.bytes) }))
    .sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : a.id - b.id))
  const shared = Uint8Array.from(tokens, ({ text }, i) => {
    const before = tokens[i - 1]?.text ?? ''
    let count = 0
    while (count < before.length && before[count] === text[count]) count++
    return count
  })
  return { size, ids: tokens.map(({ id }) => id), texts: tokens.map(({ text }) => text), shared }
}

/** What one text may continue with. Both take all its tokens so far, which only grow. */
export type TokenLimit = {
  /** A bit for each token. @throws InputError if there is none */
  readonly allowed: (tokens: readonly number[]) => Uint32Array
  /** Whether nothing may come after these tokens. */
  readonly isComplete: (tokens: readonly number[]) => boolean
}

/** Limits for any number of texts of one grammar, which share its states. @param endTokens what may end a text */
export const grammarLimits = (root: Grammar, sorted: SortedTokens, endTokens: readonly number[]): (() => TokenLimit) => {
  const [states, texts] = [openStates(root), new Map(sorted.ids.map((id, i) => [id, sorted.texts[i] ?? '']))]
  const readToken = (from: State | null, token: number): State | null => {
    const text = texts.get(token) ?? ''
    let state = text === '' ? null : from
    for (let i = 0; i < text.length && state !== null; i++) state = states.advance(state, text.charCodeAt(i))
    return state
  }
  return () => {
    let [read, state]: [number, State | null] = [0, states.start()]
    const after = (tokens: readonly number[]): State => {
      states.beginToken()
      for (; read < tokens.length; read++) state = readToken(state, tokens[read] ?? -1)
      if (state === null) throw new Error(`grammar: expected tokens that it allows, got ${tokens.join()}`)
      return state
    }
    return {
      allowed: (tokens) => {
        const at = after(tokens)
        if (at.mask === null) states.keepMask(at, tokenMask(at, states.advance, sorted, endTokens))
        if (at.mask?.some((bits) => bits !== 0) !== true)
          throw inputError('the grammar', 'a vocabulary that can spell the answer', `no token that may follow ${tokens.length} tokens`)
        return at.mask
      },
      isComplete: (tokens) => {
        const { accepts, frames } = after(tokens)
        return accepts && frames.length === 0
      },
    }
  }
}

/** A bit for each token whose bytes the language may continue with. */
const tokenMask = (
  state: State,
  advance: (from: State, byte: number) => State | null,
  { size, ids, texts, shared }: SortedTokens,
  endTokens: readonly number[],
): Uint32Array => {
  const [bits, path] = [new Uint32Array(Math.ceil(size / 32)), [state]]
  const allow = (id: number): void => {
    bits[id >>> 5] = (bits[id >>> 5] ?? 0) | (1 << (id & 31))
  }
  let read = 0 // bytes of the last token that have a state in `path`
  for (const [i, text] of texts.entries()) {
    const common = shared[i] ?? 0
    if (common > read) continue // it has the byte that the last one failed at
    let at = path[common] ?? null
    for (read = common; read < text.length && at !== null; ) {
      at = advance(at, text.charCodeAt(read))
      if (at !== null) path[++read] = at
    }
    if (read === text.length) allow(ids[i] ?? 0)
  }
  if (state.accepts) endTokens.forEach(allow)
  return bits
}

/** The scores with −∞ for all others. */
export const limitScores = <Scores extends Float32Array | Float64Array>(scores: Scores, allowed: Uint32Array): Scores => {
  const limited = scores.slice() as Scores
  for (let id = 0; id < limited.length; id++) if ((((allowed[id >>> 5] ?? 0) >>> (id & 31)) & 1) === 0) limited[id] = -Infinity
  return limited
}
