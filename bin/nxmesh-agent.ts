#!/usr/bin/env bun
import { agentMain } from '@nxmesh/agent'

process.exitCode = await agentMain(process.argv.slice(2))
