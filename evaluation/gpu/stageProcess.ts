/** Runs one stage of a trial in this process. Its arguments are the name, the options and the folder; its facts are the message to the parent. */
import { reason } from '../../accelerated/errors/inputError.js'
import { stages } from './stages/index.js'
import type { TrialOptions } from './stage.js'

/** What the process sends before it ends. */
export type StageMessage = { readonly facts: Readonly<Record<string, unknown>> } | { readonly failed: string }

const [, , name = '', options = '{}', folder = '.'] = process.argv
const send = (message: StageMessage): void => void process.send?.(message, () => process.disconnect?.())

try {
  const stage = stages.find((one) => one.name === name)
  if (stage === undefined) throw new Error(`${name}: expected a stage, got another name`)
  send({ facts: await stage.run(JSON.parse(options) as TrialOptions, folder) })
} catch (thrown) {
  send({ failed: reason(thrown) })
}
