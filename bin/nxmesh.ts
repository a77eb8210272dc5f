#!/usr/bin/env bun
import { nxmeshMain } from '@nxmesh/master/command'

process.exitCode = await nxmeshMain(process.argv.slice(2))
