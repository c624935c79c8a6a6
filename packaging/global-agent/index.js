/**
 * Stands in for global-agent below onnxruntime-node. That package's install script fetches 300 MB of CUDA libraries on every Linux machine
 * unless it is told to skip them, and fails where it cannot; a package that depends on it has no way to tell it. The script first asks
 * global-agent for the proxies to go through: asked here, it skips, unless a variable, a setting of npm or an argument asks for more.
 */
'use strict'

exports.bootstrap = () => {
  const asked =
    Object.keys(process.env).some((name) => /onnxruntime_node_install/i.test(name)) ||
    process.argv.some((argument) => argument.startsWith('--onnxruntime-node-install'))
  if (!asked) process.env.ONNXRUNTIME_NODE_INSTALL = 'skip'
}
