/** Mutations of storage: whole files, locks and paths. */
import type { Mutation } from '../mutation.js'

export const storage: ReadonlyArray<Mutation> = [
  {
    file: 'accelerated/storage/storedDigest.ts',
    mistake: 'A stored digest serves every file of the same size and modification time.',
    before: '[resolve(path), dev, ino, size, mtimeNs, ctimeNs]',
    after: '[resolve(path), dev, ino, size, mtimeNs]',
    tests: ['property/accelerated/storedDigest'],
  },
  {
    file: 'accelerated/storage/storedDigest.ts',
    mistake: 'The digest of a file that may still change is kept.',
    before: 'Date.now() - version.changedAt > settled',
    after: 'Date.now() - version.changedAt > -settled',
    tests: ['property/accelerated/storedDigest'],
  },
  {
    file: 'accelerated/storage/storedDigest.ts',
    mistake: 'A damaged digest is used.',
    before: '/^[0-9a-f]{64}$/.test(text) ? text : null',
    after: 'text',
    tests: ['property/accelerated/storedDigest'],
  },
  {
    file: 'accelerated/storage/atomicFile.ts',
    mistake: 'The file has its name before its bytes are on the disk.',
    before: 'await guarded(() => handle.sync())',
    after: '',
    tests: ['property/accelerated/atomicFile'],
  },
  {
    file: 'accelerated/storage/atomicFile.ts',
    mistake: 'A failed write leaves its temporary file.',
    before: 'await fileSystem.unlink(temporary).catch(() => undefined)',
    after: '',
    tests: ['property/accelerated/atomicFile'],
  },
  {
    file: 'accelerated/storage/atomicFile.ts',
    mistake: 'A short write loses the rest of the bytes.',
    before: 'handle.write(bytes.subarray(written))',
    after: 'handle.write(bytes)',
    tests: ['property/accelerated/atomicFile'],
  },
  {
    file: 'accelerated/storage/boundedJson.ts',
    mistake: 'The last of equal keys wins silently.',
    before: "if (keys?.has(string)) throw inputError(where, 'each key once', `${quoted(string)} twice`)",
    after: '',
    tests: ['hostile/bounds/json'],
  },
  {
    file: 'accelerated/storage/boundedJson.ts',
    mistake: 'Lists do not count as levels.',
    before: 'if (open.push(keys) > depthLimit)',
    after: 'if (open.push(keys) > depthLimit && keys !== undefined)',
    tests: ['hostile/bounds/json'],
  },
  {
    file: 'accelerated/storage/memory.ts',
    mistake: 'A read gives the stored bytes, which a caller may change.',
    before: 'return bytes.slice(position, position + length)',
    after: 'return bytes.subarray(position, position + length)',
    tests: ['property/accelerated/storage'],
  },
  {
    file: 'accelerated/storage/memory.ts',
    mistake: 'A renamed file stays under its old name too.',
    before: 'if (from !== to) tree.files.delete(from)',
    after: '',
    tests: ['property/accelerated/storage'],
  },
  {
    file: 'accelerated/storage/folderLock.ts',
    mistake: 'A claim that was removed while it was written ends the process.',
    before: 'if (attempt === attempts || !(thrown instanceof SystemError',
    after: 'if (attempt >= 1 || !(thrown instanceof SystemError',
    tests: ['property/accelerated/folderLock'],
  },
  {
    file: 'accelerated/storage/fileInFolder.ts',
    mistake: 'A folder whose name begins alike counts as within.',
    before: "root.endsWith('/') ? root : `${root}/`",
    after: 'root',
    tests: ['property/accelerated/storage'],
  },
]
