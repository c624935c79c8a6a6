/** A stage of a trial on a GPU: something to run, and the facts that it found. Each stage has a process of its own, so a crash ends no other. */

/** What a trial is asked for. */
export type TrialOptions = {
  /** a name of --device */
  readonly device: string
  /** a Python with torch, transformers and peft; null: salora alone */
  readonly python: string | null
  /** model of the MRPC run; null: the embedded model */
  readonly model: string | null
  /** a folder of GLUE with MRPC; null: the embedded sentences in its place */
  readonly data: string | null
  /** measured steps of each case */
  readonly repeats: number
  /** tiny shapes and few steps, to rehearse the stages */
  readonly small: boolean
}

/** Facts by name, as the JSON file has them. */
export type Facts = Readonly<Record<string, unknown>>

export type Stage = {
  readonly name: string
  readonly title: string
  /** @param folder a new folder for files of this stage @throws Error whose first line the trial records */
  readonly run: (options: TrialOptions, folder: string) => Promise<Facts>
}

/** failed: the line of the error, or how the process ended */
export type Outcome = { readonly stage: string; readonly title: string; readonly seconds: number } & (
  | { readonly facts: Facts }
  | { readonly failed: string }
)
