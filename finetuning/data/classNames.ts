/** Names of classes in a Parquet file that the datasets library wrote: the numbers of a ClassLabel stand for them. */
import { z } from 'zod'
import { inputError } from '../../accelerated/errors/inputError.js'

const names = z
  .array(z.string().min(1).max(1_000))
  .min(1)
  .max(100_000)
  .refine((all) => new Set(all).size === all.length)
const classLabel = z.object({ _type: z.literal('ClassLabel'), names })
/** a number of each row, or a list of them; lists have had three forms */
const feature = z.union([
  classLabel,
  z.object({ _type: z.enum(['List', 'LargeList', 'Sequence']), feature: classLabel }).transform((list) => list.feature),
  z.tuple([classLabel]).transform(([one]) => one),
])
const written = z.object({ info: z.object({ features: z.record(z.string(), z.unknown()) }) })

/** By column; other columns, and what another program wrote under this key, have no names. @param metadata the file's own keys and values */
export const classNamesIn = (
  metadata: ReadonlyArray<{ readonly key: string; readonly value?: string }> = [],
): ReadonlyMap<string, ReadonlyArray<string>> => {
  const text = metadata.find(({ key }) => key === 'huggingface')?.value
  const parsed = written.safeParse(text === undefined ? undefined : parsedOrNothing(text))
  const features = Object.entries(parsed.data?.info.features ?? {})
  return new Map(
    features.flatMap(([column, value]) => {
      const { data } = feature.safeParse(value)
      return data === undefined ? [] : [[column, data.names] as const]
    }),
  )
}

const parsedOrNothing = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

/** A number, or each number of a list, as its name; −1 is no label. @throws InputError for a number without a name */
export const withNames = (value: unknown, classes: ReadonlyArray<string>, where: () => string): unknown => {
  if (Array.isArray(value)) return value.map((part) => withNames(part, classes, where))
  if (typeof value !== 'number' && typeof value !== 'bigint') return value
  if (Number(value) === -1) return null
  const name = classes[Number(value)]
  if (name === undefined) throw inputError(where(), `a class from 0 to ${classes.length - 1}, which the file names`, String(value))
  return name
}
