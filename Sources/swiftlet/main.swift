import Commands

SwiftletCommand.run(arguments: Array(CommandLine.arguments.dropFirst()))
