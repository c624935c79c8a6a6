/** What gzip packed, by zlib. A browser's bundle has inflateInBrowser.ts in its place ("browser" in package.json). */
import { pipeline, Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'

const piece = 2 ** 20

/** @throws an error of zlib for bytes that are no gzip file, and the error of `chunks` */
export async function* inflate(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip({ chunkSize: piece })
  // `gunzip` throws the error too, and the loop of the caller gets it
  pipeline(Readable.from(chunks, { objectMode: false, highWaterMark: piece }), gunzip, () => undefined)
  try {
    yield* gunzip as AsyncIterable<Buffer>
  } finally {
    gunzip.destroy()
  }
}
