/** Recomputation: of each layer a step keeps its input alone, and makes the rest once more when the gradient comes there. */
import { checkpoint } from '../../graph/operators.js'
import type { Wrap } from '../host.js'

export const checkpointedLayers: Wrap = (host) => ({ ...host, layer: (name, body) => host.layer(name, (x) => checkpoint(body(x), x)) })
