/** What the board sends to its pages, and the limits that both sides know. Page scripts import this file, so it imports no file that needs Node. */
import type { Table } from '../../evaluation/tables/tableText.js'
import type { SparkPoint } from '../charts/drawChart.js'
import type { PlottedFigure } from '../figures/figure.js'
import type { ReportTable } from '../report/sections.js'

/**
 * - running: a living process has locked the folder
 * - waiting: the folder is still empty
 * - failed: the run ended with an error
 * - crashed: its process is gone without a result
 * - interrupted: it was stopped, has saved and can resume
 * - unreadable: one of its files is invalid
 * - finished
 */
export const runStatuses = ['running', 'waiting', 'failed', 'crashed', 'interrupted', 'unreadable', 'finished'] as const
export type RunStatus = (typeof runStatuses)[number]

export const viewKinds = ['list', 'run', 'compare', 'sweep'] as const
/** What a page shows. A list has no ids, a run and a sweep have one, and a comparison has several. */
export type View = { readonly kind: (typeof viewKinds)[number]; readonly ids: readonly string[] }

/** Maximum number of runs in a comparison: more cannot be distinguished. */
export const compareLimit = 10

/** A run in a list. */
export type RunLine = {
  readonly id: string
  readonly name: string
  readonly task: string | null
  readonly method: string | null
  /** id of the sweep that the run belongs to */
  readonly sweep: string | null
  readonly status: RunStatus
  /** the reason of the status, in one line */
  readonly reason: string | null
  readonly step: number
  /** planned steps; null if unknown */
  readonly steps: number | null
  readonly secondsLeft: number | null
  /** task loss of the last step */
  readonly loss: number | null
  /** of the best evaluation, or of the last one if there is no best one */
  readonly score: { readonly metric: string; readonly value: number; readonly evaluation: 'best' | 'last' } | null
  readonly tokensPerSecond: number | null
  /** the score of the evaluations over steps */
  readonly curve: readonly SparkPoint[]
}

/** A cell of a sweep without a folder. */
export type PendingCell = { readonly id: null } & Pick<RunLine, 'name' | 'status' | 'reason'>

export type ListedRun = RunLine | PendingCell

export type RunView = {
  readonly line: RunLine
  /** numbers as they are, or as texts with units */
  readonly numbers: readonly (readonly [name: string, value: number | string])[]
  readonly settings: readonly (readonly [name: string, value: string])[]
  /** the effect of stopping the run; null if the board cannot stop it */
  readonly stopEffect: string | null
  /** why the board cannot stop a run that is running */
  readonly stopObstacle: string | null
  /** whether the run's adapter reads one text or a pair; null if it cannot be asked */
  readonly sentence: 'text' | 'pair' | null
  /** why a run with an adapter cannot be asked */
  readonly sentenceObstacle: string | null
  /** the command that resumes the run; null if it is running or finished */
  readonly resume: string | null
}

export type CaptionedTable = Table & { readonly caption: string }

export type CompareView = {
  readonly lines: readonly RunLine[]
  /** settings in which the runs differ; – for a run without the setting */
  readonly differences: CaptionedTable
}

export type SweepLine = {
  readonly id: string
  readonly name: string
  /** the sweep's kind, such as `table1` */
  readonly sweep: string
  readonly problem: string | null
  /** whether a process is working on the sweep */
  readonly isRunning: boolean
  readonly counts: Readonly<Record<RunStatus, number>>
  readonly cells: number
  /** finished share of all steps */
  readonly progress: number
  /** estimated from the finished cells; null without any, or if no cell is running */
  readonly secondsLeft: number | null
  /** a sweep may search learning rates (`grid`) before it fills its table */
  readonly stage: 'grid' | 'table' | null
}

export type SweepView = {
  readonly line: SweepLine
  readonly cells: readonly ListedRun[]
  /** the table of the finished cells; null without any */
  readonly table: CaptionedTable | null
}

/** Everything that a view shows. The first event has all parts, and later events have the changed ones. */
export type BoardState = {
  readonly board?: { readonly problem: string | null }
  readonly sweeps?: readonly SweepLine[]
  /** ids of the listed runs, in order */
  readonly order?: readonly string[]
  /** null for a run that does not exist */
  readonly run?: RunView | null
  readonly compare?: CompareView
  readonly sweep?: SweepView | null
  readonly figures?: { readonly names: readonly string[]; readonly problems: readonly string[] }
  /** what the run's report has below its figures */
  readonly tables?: readonly ReportTable[]
  readonly [run: `run ${string}`]: RunLine
  readonly [figure: `figure ${string}`]: PlottedFigure
}

/** The answer to a request that is not an event stream. */
export type Answer = { readonly message: string }

/** The answer to a sentence: a prediction, or why there is none. */
export type SentenceAnswer = Answer & {
  readonly prediction?: {
    readonly label?: string
    readonly labels?: readonly string[]
    readonly value?: number
    /** probabilities by class */
    readonly scores?: Readonly<Record<string, number>>
    /** of token classification; places are characters of the text */
    readonly entities?: readonly {
      readonly entity_group: string
      readonly score: number
      readonly start: number
      readonly end: number
    }[]
    /** cosine of two texts */
    readonly similarity?: number
    readonly embedding?: readonly number[]
  }
}
