#!/usr/bin/env bun
import { masterMain } from '@nxmesh/master/command'

const [, , noun, ...rest] = process.argv

if (noun === 'master') {
  process.exitCode = await masterMain(rest)
} else {
  process.stderr.write(
    'Usage: nxmesh master run | nxmesh master config print [--origin] (more: nxmesh master --help)\n',
  )
  process.exitCode = 2
}
