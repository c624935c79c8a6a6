/** Gradient checkpointing: a step stores only layer inputs and recomputes the rest in the backward pass. */
import { checkpoint } from '../../graph/operators.js'
import type { Wrap } from '../host.js'

export const checkpointedLayers: Wrap = (host) => ({ ...host, layer: (name, body) => host.layer(name, (x) => checkpoint(body(x), x)) })
