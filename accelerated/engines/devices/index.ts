/** All devices, one line each. A device's file and its line here are all it takes; how engines work belongs in the folder above. */
import { cpu } from './cpu.js'
import { cuda } from './cuda.js'
import type { Device } from './device.js'
import { webgpu } from './webgpu.js'

export const devices: readonly Device[] = [cpu, webgpu, cuda]
