/** An error as plain data, so that a thread or a process can send it and the receiver can throw the same kind of error. */
import { DeviceError, SettingsError, TrainingError } from './expectedErrors.js'
import { ChangedFileError, InputError, UserError, type Mistake } from './inputError.js'
import { Words, type Text } from './words.js'

/** Texts are as the sender has them: words arrive without their class. */
export type SentError =
  | ({ readonly type: 'InputError' | 'ChangedFileError' } & Mistake & Pick<InputError, 'kind'>)
  | ({ readonly type: 'SettingsError' } & Pick<SettingsError, 'setting' | 'expected' | 'got' | 'remedy'>)
  | { readonly type: 'DeviceError' | 'TrainingError'; readonly line: Text }
  /** an error that no user can repair */
  | { readonly type: 'defect'; readonly message: string; readonly stack: string | undefined }

export const toSentError = (thrown: unknown): SentError => {
  if (thrown instanceof InputError)
    return { type: thrown instanceof ChangedFileError ? 'ChangedFileError' : 'InputError', ...thrown.mistake, kind: thrown.kind }
  if (thrown instanceof SettingsError) {
    const { setting, expected, got, remedy } = thrown
    return { type: 'SettingsError', setting, expected, got, remedy }
  }
  if (thrown instanceof UserError) return { type: thrown instanceof DeviceError ? 'DeviceError' : 'TrainingError', line: thrown.line }
  const { message, stack } = thrown instanceof Error ? thrown : new Error(String(thrown))
  return { type: 'defect', message, stack }
}

const received = (text: Text): Text => (typeof text === 'string' ? text : new Words(text.parts))

export const fromSentError = (sent: SentError): Error => {
  switch (sent.type) {
    case 'InputError':
    case 'ChangedFileError': {
      const type = sent.type === 'InputError' ? InputError : ChangedFileError
      return new type(received(sent.where), received(sent.expected), received(sent.got), sent.kind)
    }
    case 'SettingsError':
      return new SettingsError(sent.setting, received(sent.expected), sent.got, sent.remedy === null ? null : received(sent.remedy))
    case 'DeviceError':
      return new DeviceError(received(sent.line))
    case 'TrainingError':
      return new TrainingError(received(sent.line))
    case 'defect':
      return Object.assign(new Error(sent.message), { stack: sent.stack })
  }
}
