/**
 * @peculiar/x509 needs this before it loads. In a lazily loaded module Bun's bundler initializes CommonJS imports after all
 * ES modules, whatever their order; behind an ES module of its own it comes in its turn.
 */
import 'reflect-metadata'
