/** Addresses of datasets on the hub and of files in them, as DuckDB and Polars have them: hf://datasets/OWNER/NAME@REVISION/FILE. */
import { isHubId, isRevision } from './hubId.js'

/** A dataset, or one file of it. */
export type DatasetAddress = {
  readonly id: string
  readonly revision: string
  /** the file's path in the repository; null: the whole dataset */
  readonly path: string | null
}

/** The branch with the hub's own Parquet files of a dataset, and its short name. */
const converted = { name: '~parquet', revision: 'refs/convert/parquet' }

export const isHubAddress = (data: string): boolean => data.startsWith('hf://')

/** null: the text is no address of a dataset */
export const parseDatasetAddress = (address: string): DatasetAddress | null => {
  const [, id = '', named = 'main', path = null] = /^hf:\/\/datasets\/([^/@]+\/[^/@]+)(?:@([^/@]+))?(?:\/(.+))?$/.exec(address) ?? []
  const isConverted = [converted.name, encodeURIComponent(converted.revision)].includes(named)
  if (!isHubId(id) || !(isConverted || isRevision(named)) || (path !== null && !isPlainPath(path))) return null
  return { id, revision: isConverted ? converted.revision : named, path }
}

/** A path that stays in its folder: letters, digits, "-", "_", "+", "=" and "." between slashes, and no name that begins with a dot. */
export const isPlainPath = (path: string): boolean => path.split('/').every((part) => /^\w[\w.+=-]*$/.test(part))
