import LinuxCalls

// Makes and keeps one network fabric in a namespace of its own. `swiftlet` starts it and asks it; people need it to look.
openMissingStandardStreams()
let signals = try? setBlockedSignals(SignalSet(bits: .max))
exitProcess(Errand(arguments: processArguments(), signals: signals).run())
