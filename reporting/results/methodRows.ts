/** The rows of the table of every method, and how each got its learning rate. */

export type MethodRow = {
  readonly row: string
  /** the row in tables: the method and its learning rate */
  readonly title: string
  readonly method: string
  readonly rate: string
  /** how the rate was found: fixed before any run, or chosen on a held-out tenth of the embedded model's training rows */
  readonly choice: 'fixed' | 'chosen'
}

const rowOf = (row: string): MethodRow => {
  const [method = '', ...changes] = row.split(':')
  const rate = changes.find((change) => change.startsWith('learning-rate='))?.slice('learning-rate='.length)
  const more = changes.filter((change) => !change.startsWith('learning-rate='))
  return {
    row,
    title: [method, ...more].join(', '),
    method,
    rate: rate ?? '1e-3',
    choice: rate === undefined ? 'fixed' : 'chosen',
  }
}

export const methodRows: ReadonlyArray<MethodRow> = [
  'lora',
  'lora-4',
  'salora',
  'lora:learning-rate=3e-4',
  'lora-4:learning-rate=3e-4',
  'salora:learning-rate=3e-4',
  'salora:learning-rate=3e-4:orthogonality=sum',
  'full:learning-rate=1e-4',
  'adalora:learning-rate=3e-3',
  'houlsby:learning-rate=1e-3',
  'pfeiffer:learning-rate=3e-3',
  'prefix:learning-rate=3e-3',
  'prompt:learning-rate=3e-3',
].map(rowOf)

/** Only the embedded model has runs of these rows. */
export const embeddedOnly: ReadonlyArray<string> = ['lora-4:learning-rate=3e-4', 'salora:learning-rate=3e-4:orthogonality=sum']
