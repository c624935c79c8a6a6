/** The names of the files that exports in GGUF write. */

export const ggufAdapterFile = 'adapter.gguf'
export const ggufModelFiles = { model: 'model.gguf', ollama: 'Modelfile' } as const
