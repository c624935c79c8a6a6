/** An error as plain data, so that a thread or a process can send it and the receiver can throw the same kind of error. */
import { DeviceError, SettingsError, TrainingError } from './expectedErrors.js'
import { ChangedFileError, InputError } from './inputError.js'

export type SentError =
  | ({ readonly type: 'InputError' | 'ChangedFileError' } & Pick<InputError, 'where' | 'expected' | 'got' | 'kind'>)
  | ({ readonly type: 'SettingsError' } & Pick<SettingsError, 'setting' | 'expected' | 'got' | 'remedy'>)
  | { readonly type: 'DeviceError' | 'TrainingError'; readonly message: string }
  /** an error that no user can repair */
  | { readonly type: 'defect'; readonly message: string; readonly stack: string | undefined }

export const toSentError = (thrown: unknown): SentError => {
  if (thrown instanceof InputError) {
    const { where, expected, got, kind } = thrown
    return { type: thrown instanceof ChangedFileError ? 'ChangedFileError' : 'InputError', where, expected, got, kind }
  }
  if (thrown instanceof SettingsError) {
    const { setting, expected, got, remedy } = thrown
    return { type: 'SettingsError', setting, expected, got, remedy }
  }
  const { message, stack } = thrown instanceof Error ? thrown : new Error(String(thrown))
  if (thrown instanceof DeviceError) return { type: 'DeviceError', message }
  if (thrown instanceof TrainingError) return { type: 'TrainingError', message }
  return { type: 'defect', message, stack }
}

export const fromSentError = (sent: SentError): Error => {
  switch (sent.type) {
    case 'InputError':
      return new InputError(sent.where, sent.expected, sent.got, sent.kind)
    case 'ChangedFileError':
      return new ChangedFileError(sent.where, sent.expected, sent.got, sent.kind)
    case 'SettingsError':
      return new SettingsError(sent.setting, sent.expected, sent.got, sent.remedy)
    case 'DeviceError':
      return new DeviceError(sent.message)
    case 'TrainingError':
      return new TrainingError(sent.message)
    case 'defect':
      return Object.assign(new Error(sent.message), { stack: sent.stack })
  }
}
