/** What a list tells of a run, from its metrics.jsonl line by line: the newest step, the evaluations, and what a step takes. */

export type Evaluation = { readonly step: number; readonly scores: Readonly<Record<string, number>> }

export type Digest = {
  readonly step: number
  readonly loss: number | null
  readonly density: number | null
  readonly lambda: number | null
  readonly tokensPerSecond: number | null
  readonly stepsPerEpoch: number | null
  /** mean of the newest steps */
  readonly secondsPerStep: number | null
  /** the newest that was the best one so far */
  readonly best: Evaluation | null
  readonly last: Evaluation | null
  /** the first step that was read, and lines that are no event */
  readonly odd: number
}

const empty: Digest = {
  step: 0,
  loss: null,
  density: null,
  lambda: null,
  tokensPerSecond: null,
  stepsPerEpoch: null,
  secondsPerStep: null,
  best: null,
  last: null,
  odd: 0,
}

/** Steps whose time is told. */
const newest = 32
/** Names of scores in one evaluation. */
const mostScores = 100

export type Digester = { readonly take: (line: Buffer) => void; readonly forget: () => void; readonly digest: () => Digest }

export const digester = (): Digester => {
  let so = empty
  let seconds: number[] = []
  return {
    forget: () => {
      ;[so, seconds] = [empty, []]
    },
    digest: () => ({ ...so, secondsPerStep: seconds.length === 0 ? null : seconds.reduce((a, b) => a + b, 0) / seconds.length }),
    take: (line) => {
      const event = eventOf(line)
      if (event === null) {
        so = { ...so, odd: so.odd + 1 }
        return
      }
      const { step, fields } = event
      if (fields['kind'] === 'evaluation') {
        const evaluation = { step, scores: scoresOf(fields['scores']) }
        so = { ...so, last: evaluation, ...(fields['best'] === true ? { best: evaluation } : {}) }
      }
      if (fields['kind'] !== 'step') return
      const [tokens, rate, epoch] = [number(fields['tokens']), number(fields['tokensPerSecond']), number(fields['epoch'])]
      if (tokens !== null && rate !== null && rate > 0) seconds = [...seconds.slice(1 - newest), tokens / rate]
      so = {
        ...so,
        step,
        loss: number(fields['taskLoss']),
        density: number(fields['density']),
        lambda: number(fields['lambda']),
        tokensPerSecond: rate,
        stepsPerEpoch: epoch !== null && epoch > 0 ? Math.max(1, Math.round(step / epoch)) : so.stepsPerEpoch,
      }
    },
  }
}

const number = (value: unknown): number | null => (typeof value === 'number' && Number.isFinite(value) ? value : null)

const eventOf = (line: Buffer): { readonly step: number; readonly fields: Readonly<Record<string, unknown>> } | null => {
  try {
    const fields: unknown = JSON.parse(line.toString())
    if (typeof fields !== 'object' || fields === null || !('step' in fields) || !Number.isSafeInteger(fields.step)) return null
    const step = Number(fields.step)
    return step < 0 ? null : { step, fields: fields as Readonly<Record<string, unknown>> }
  } catch {
    return null
  }
}

const scoresOf = (given: unknown): Readonly<Record<string, number>> =>
  typeof given !== 'object' || given === null
    ? {}
    : Object.fromEntries(
        Object.entries(given)
          .slice(0, mostScores)
          .flatMap(([name, value]) => (number(value) === null ? [] : [[name, Number(value)]])),
      )
