/** What an experiment tracker's server must offer, and how it fails. */

/** One number of a run. */
export type Point = {
  readonly key: string
  readonly value: number
  readonly step: number
  /** milliseconds since 1970 */
  readonly timestamp: number
}

export type RunStatus = 'FINISHED' | 'FAILED' | 'KILLED'

/** What a run folder keeps of the tracker's run, so that a resumed run continues it. It holds no secret. */
export type StoredRun = Readonly<Record<string, string>>

/** What is known of a run when it starts. */
export type RunDescription = {
  readonly name: string
  readonly params: Readonly<Record<string, string>>
  /** null for a new run */
  readonly earlier: StoredRun | null
  /** Saves the tracker's run in the run folder. */
  readonly store: (run: StoredRun) => Promise<void>
}

/** A run of the tracker that takes points. */
export type TrackedRun = {
  readonly url: string
  /** the last step that the server has of each key; a resumed run repeats no point */
  readonly lastSteps: ReadonlyMap<string, number>
  /** @throws TrackerError */
  readonly log: (points: readonly Point[], signal: AbortSignal) => Promise<void>
  /** @throws TrackerError */
  readonly finish: (status: RunStatus, signal: AbortSignal) => Promise<void>
}

export type TrackerService = {
  /** the server's address, for messages */
  readonly address: string
  /** the most points of one request */
  readonly batchSize: number
  /** Starts or continues a run. After a failure it is called again with the stored run. @throws TrackerError */
  readonly open: (run: RunDescription, signal: AbortSignal) => Promise<TrackedRun>
}

/** A request failed. `temporary`: the same request may succeed later. */
export class TrackerError extends Error {
  constructor(
    message: string,
    readonly temporary: boolean,
  ) {
    super(message)
  }
}

/** The names of experiment trackers, and the file of a run folder that names the tracker's run. */

export const trackerNames = ['mlflow'] as const

export type TrackerName = (typeof trackerNames)[number]

export const trackerFile = (name: TrackerName): string => `${name}.json`
