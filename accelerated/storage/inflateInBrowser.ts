/** What gzip packed, by the browser, in place of inflate.ts. */

/** @throws TypeError for bytes that are no gzip file, and the error of `chunks` */
export async function* inflate(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const given = chunks[Symbol.asyncIterator]()
  const packed = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull: async (stream) => {
      const { done, value } = await given.next()
      if (done === true) stream.close()
      else stream.enqueue(new Uint8Array(value)) // never of shared memory, which streams refuse
    },
    cancel: async () => {
      await given.return?.()
    },
  })
  const reader = packed.pipeThrough(new DecompressionStream('gzip')).getReader()
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value
  } finally {
    await reader.cancel().catch(() => undefined) // it has failed
  }
}
