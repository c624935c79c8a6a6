/**
 * Trained rows of the word embeddings, beside any method's tensors: those of some tokens, and those of new tokens, which extend the vocabulary. PEFT
 * calls it trainable_token_indices. Of the table itself, only its frozen rows are read.
 */
import type { Expression } from '../graph/expression.js'
import { add, cast, concat, constant, equal, matMul, mul, reduceSum, replaceColumns, reshape, slice, sub } from '../graph/operators.js'
import type { Wrap } from '../models/host.js'
import type { Trainable } from '../parameters/layout.js'
import { buildWeightGroups, type CommonSettings } from '../settings/commonSettings.js'
import type { Method, TokenRows } from './method.js'

export type { TokenRows }

/** The name of a table's trained rows: `embed_tokens.tokens` */
export const rowsName = (table: string): string => table.replace(/(\.weight)?$/, '.tokens')

/** The vocabulary with the tokens beyond the end of a table of this many rows. */
export const extendedSize = (rows: number, ids: readonly number[]): number => Math.max(rows, ...ids.map((id) => id + 1))

/** A method that also trains these rows, as matrices that decay: they take the place of the table's rows. No rows: the method as it is. */
export const withTrainedTokens = (method: Method, tokens: readonly TokenRows[]): Method => {
  if (tokens.length === 0) return method
  const { train, reporting, export: exported } = method
  const { merge } = exported
  const newRows = tokens.flatMap(newTokenRows)
  return {
    ...method,
    tokens,
    train: {
      ...train,
      tensors: (phase, settings) => [...train.tensors(phase, settings), ...tokens.map(trainable(settings as CommonSettings))],
      wrap: (phase, settings, parameter) => {
        const rows = wordWrap(tokens, ({ table }) => parameter(rowsName(table)))
        const own = train.wrap(phase, settings, parameter)
        return (host) => rows(own(host))
      },
      baseWrap: wordWrap(newRows, ({ initial, shape: [, width], ids }, dtype) => constant(initial, [ids.length, width], dtype)),
    },
    reporting: {
      ...reporting,
      parameterCounts: (phase, settings) => ({
        ...reporting?.parameterCounts?.(phase, settings),
        tokens: tokens.reduce((sum, { ids, shape: [, width] }) => sum + ids.length * width, 0),
      }),
    },
    export: {
      ...exported,
      ...(merge === undefined
        ? {}
        : {
            merge: (phase, settings, name, tensor, trained) => {
              const rows = tokens.find(({ table }) => table === name)
              const merged = merge(phase, settings, name, tensor, trained)
              return rows === undefined ? merged : withRows(merged ?? tensor(), rows, trained(rowsName(name)))
            },
          }),
    },
  }
}

const trainable =
  (settings: CommonSettings) =>
  ({ table, ids, shape: [, width], initial }: TokenRows): Trainable => ({
    name: rowsName(table),
    shape: [ids.length, width],
    group: buildWeightGroups(settings).decayed,
    initial: { fromCheckpoint: false, draw: () => initial },
  })

/** The new tokens alone: the model without the adapter has them too, with their rows before training. */
const newTokenRows = (rows: TokenRows): readonly TokenRows[] => {
  const { ids, newFrom, initial, shape } = rows
  const first = ids.findIndex((id) => id >= newFrom)
  if (first < 0) return []
  return [{ ...rows, ids: ids.slice(first), initial: Array.from(initial).slice(first * shape[1]) }]
}

type Placed = { readonly rows: TokenRows; readonly values: Expression }

/** @param toValues the rows as an expression: [ids.length, width] */
const wordWrap =
  (tokens: readonly TokenRows[], toValues: (rows: TokenRows, dtype: Expression['dtype']) => Expression): Wrap =>
  (host) => {
    const placed = new Map<string, Placed>()
    const placeRows = (table: string): Placed | undefined => {
      const rows = tokens.find((one) => one.table === table)
      if (rows === undefined) return undefined
      const known = placed.get(table) ?? { rows, values: toValues(rows, host.tensor(table).dtype) }
      placed.set(table, known)
      return known
    }
    return {
      ...host,
      wordRows: (table, ids) => {
        const trained = placeRows(table)
        return trained === undefined ? host.wordRows(table, ids) : lookedUp(trained, ids, (frozen) => host.wordRows(table, frozen))
      },
      wordLogits: (table, x) => {
        const trained = placeRows(table)
        return trained === undefined ? host.wordLogits(table, x) : inPlace(trained, x, host.wordLogits(table, x))
      },
    }
  }

/**
 * A trained row for its token, a frozen one for every other. A product, because its gradient is a product too: the gradient of a gather adds rows
 * up, in any order on some providers. Trained tokens read the table's first row, times 0: new ones have none. ids: [...] → [..., width]
 */
const lookedUp = ({ rows, values }: Placed, ids: Expression, frozenRows: (ids: Expression) => Expression): Expression => {
  const numbers = constant(rows.ids, [rows.ids.length], ids.dtype)
  const chosen = cast(equal(reshape(ids, [...ids.shape, 1]), numbers), values.dtype) // [..., ids]: 1 in the column of the token's id
  const isFrozen = sub(1, reduceSum(chosen, [-1], true)) // [..., 1]
  const frozen = frozenRows(mul(ids, cast(reshape(isFrozen, ids.shape), ids.dtype)))
  return add(mul(frozen, isFrozen), matMul(chosen, values))
}

/** The frozen table's logits with those of trained rows in their places, and those of rows beyond its end after them. → [rows, vocabulary] */
const inPlace = ({ rows: { ids, shape }, values }: Placed, x: Expression, frozen: Expression): Expression => {
  const own = matMul(x, values, { transposeB: true }) // [rows, ids]
  const replaced = ids.filter((id) => id < shape[0])
  const added = ids.length - replaced.length
  if (added === 0) return replaceColumns(frozen, own, ids)
  if (replaced.length === 0) return concat([frozen, own], 1)
  return concat([replaceColumns(frozen, slice(own, 1, 0, replaced.length), replaced), slice(own, 1, replaced.length, added)], 1)
}

/** The table with trained rows in their places, and new ones after it. table: [rows, width] → [vocabulary, width] */
const withRows = (table: ArrayLike<number>, { ids, shape: [rows, width] }: TokenRows, values: ArrayLike<number>): Float32Array => {
  const whole = new Float32Array(extendedSize(rows, ids) * width)
  whole.set(table)
  ids.forEach((id, i) => {
    for (let j = 0; j < width; j++) whole[id * width + j] = values[i * width + j] ?? NaN
  })
  return whole
}
