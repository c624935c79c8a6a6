/** The runs at rank 1: scores on the held-out rows and on the dev set, by task and row, and the pairs of two rows. */
import { scoreOf } from '../../../evaluation/glue/score.js'
import type { StoredSweep } from '../storedSweeps.js'

export const tasks = ['cola', 'mrpc', 'stsb', 'sst2', 'qnli', 'qqp'] as const
export type Task = (typeof tasks)[number]

/** A row by the name of its cells; evaluation at the end alone is in the name, since it is no default. */
export type Row = { readonly title: string; readonly name: string }

export const lora: Row = { title: 'LoRA, r = 1', name: 'lora-1_eval-steps=100000' }
export const salora: Row = { title: 'SaLoRA, from 8 to 1', name: 'salora_density=0.125_eval-steps=100000' }
export const early: Row = { title: 'SaLoRA, early window', name: 'salora_density=0.125_gate-start=0.02_gate-end=0.15_eval-steps=100000' }

/** Scores of a row's cells in percent, by what their names have between the row and the end. */
const scoresOf = ({ runs }: StoredSweep, task: Task, { name }: Row, between: RegExp): ReadonlyMap<number, number> =>
  new Map(
    runs
      .flatMap(({ cell, result }) => {
        const found = cell.startsWith(`${task}.${name}`) ? between.exec(cell.slice(`${task}.${name}`.length)) : null
        return found === null ? [] : [[Number(found[1]), scoreOf(task, 'last', result)] as const]
      })
      .sort(([a], [b]) => a - b),
  )

/** By rate. */
export const heldOut = (sweep: StoredSweep, task: Task, row: Row): ReadonlyMap<number, number> =>
  scoresOf(sweep, task, row, /^\.grid-train-(.+)\.seed-\d+$/)

/** By seed. */
export const reported = (sweep: StoredSweep, task: Task, row: Row): ReadonlyMap<number, number> =>
  scoresOf(sweep, task, row, /^\.seed-(\d+)$/)

/** The dev scores of two rows, and the differences of a seed's pairs: the second minus the first. */
export type Pairs = {
  readonly task: Task
  readonly seeds: ReadonlyArray<number>
  readonly first: ReadonlyMap<number, number>
  readonly second: ReadonlyMap<number, number>
  readonly pairs: ReadonlyArray<number>
}

export const pairsByTask = (sweep: StoredSweep, one: Row, other: Row): ReadonlyArray<Pairs> =>
  tasks.map((task) => {
    const [first, second] = [reported(sweep, task, one), reported(sweep, task, other)]
    const seeds = [...first.keys()].filter((seed) => second.has(seed))
    return { task, seeds, first, second, pairs: seeds.map((seed) => (second.get(seed) ?? NaN) - (first.get(seed) ?? NaN)) }
  })
