import ArgumentParser
import Fleet
import Foundation
import Testing

@testable import Commands

@Suite struct ParsingTests {
    private func parse(_ words: String...) throws -> RunCommand {
        let command = try SwiftletCommand.parseAsRoot(ProgramArguments.separated(words))
        return try #require(command as? RunCommand)
    }

    @Test func `options after the image belong to the program`() throws {
        let run = try parse("run", "--rm", "-m", "64M", "busybox", "ls", "--rm", "-l", "--", "-x")
        #expect(run.removesItself && run.memory == "64M" && run.image == "busybox")
        #expect(run.command == ["ls", "--rm", "-l", "--", "-x"])
    }

    @Test func `a command that has commands names them to who asks for another`() throws {
        #expect(
            throws: CommandFailure(
                "usage",
                "network has no command \"crate\"; there are create, list, inspect, update, remove, connect, disconnect, repair"
            )
        ) { try SwiftletCommand.checkVerb(["network", "crate", "x"]) }
        for words in [
            ["network", "ls"], ["network", "rm", "lan"], ["network", "--help"], ["network"], ["run", "network"], [],
            ["egress", "list"], ["egress", "ls"], ["egress", "rm"], ["egress", "remove"], ["help", "network"],
        ] { try SwiftletCommand.checkVerb(words) }
        #expect(try SwiftletCommand.parseAsRoot(["egress", "list"]) is EgressListCommand)
        #expect(try SwiftletCommand.parseAsRoot(["egress", "rm", "web", "a.test"]) is EgressRemoveCommand)
    }

    @Test func `host exec has options of its own before the program, and help`() throws {
        let words = ["host", "exec", "-it", "sh", "-c", "--help"]
        let command = try SwiftletCommand.parseAsRoot(ProgramArguments.separated(words))
        let exec = try #require(command as? HostExecCommand)
        #expect(exec.tty && exec.interactive && exec.program == ["sh", "-c", "--help"])
        let help = try SwiftletCommand.parseAsRoot(ProgramArguments.separated(["host", "exec", "--help"]))
        #expect(!(help is HostExecCommand))
    }

    @Test func `what ends with the host is named`() {
        #expect(HostStopCommand.note(machines: [], programs: 0) == nil)
        #expect(HostStopCommand.note(machines: ["web", "tick"], programs: 2) == "ended with it: web, tick")
        #expect(HostStopCommand.note(machines: [], programs: 3)?.contains("3 programs") == true)
    }

    @Test func `the words of an entry point may begin with a dash`() throws {
        let words = [
            "image", "import", "tool", "./root", "--entrypoint", "/bin/sh", "--entrypoint", "-c", "--", "date",
        ]
        let command = try SwiftletCommand.parseAsRoot(ProgramArguments.separated(words))
        let image = try #require(command as? ImageImportCommand)
        #expect(image.entrypoint == ["/bin/sh", "-c"] && image.program == ["date"])
    }

    @Test func `short flags may be joined`() throws {
        let run = try parse("run", "-it", "busybox")
        #expect(run.tty && run.interactive && run.command.isEmpty)
    }

    @Test func `options with a value in the same word take no further one`() throws {
        let run = try parse("run", "--cpus=4", "--name=web", "busybox", "true")
        #expect(run.cpus == "4" && run.name == "web" && run.command == ["true"])
    }

    @Test func `a machine has the processors whose time it may use`() throws {
        var specification = MachineSpecification()
        try LimitOptions.setProcessors("4", of: &specification)
        #expect(specification.processors == 4 && specification.limits.isEmpty)
        try LimitOptions.setProcessors("1.5", of: &specification)
        #expect(specification.processors == 2 && specification.limits.cpuThousandths == 1500)
        try LimitOptions.setProcessors("0.5", of: &specification)
        #expect(specification.processors == 1 && specification.limits.cpuThousandths == 500)
        for text in ["x", "", "-0.5", "0.001", "1e1", "nan"] {
            #expect(throws: (any Error).self) { try LimitOptions.setProcessors(text, of: &specification) }
        }
    }

    @Test func `something must be changed by set`() throws {
        #expect(throws: (any Error).self) { try SwiftletCommand.parseAsRoot(["set", "web"]) }
        let command = try SwiftletCommand.parseAsRoot(["set", "--disk-ops", "none", "--network-in", "eth0=1M", "web"])
        #expect((command as? SetCommand)?.machines == ["web"])
    }

    @Test func `how far memory can grow is said in whole blocks`() throws {
        var specification = MachineSpecification()
        var options = try GrowthOptions.parse(["--memory-max", "1023M"])
        try options.change(&specification)
        #expect(specification.memoryMaximumMebibytes == 1024)
        options = try GrowthOptions.parse(["--memory-max", "none"])
        try options.change(&specification)
        #expect(specification.memoryMaximumMebibytes == nil)
        options = try GrowthOptions.parse(["--memory-max", "much"])
        #expect(throws: CommandFailure.self) { try options.change(&specification) }
    }

    @Test func `an appliance takes the limits that other machines take`() throws {
        let words = [
            "--cpus", "0.5", "--memory-max", "1G", "--cpu-shares", "9", "--disk-ops", "5", "--network-in", "1M",
        ]
        let command = try SwiftletCommand.parseAsRoot(["appliance", "run"] + words + ["fw"]) as? ApplianceRunCommand
        #expect(command?.cpus == "0.5" && command?.growth.memoryMax == "1G" && command?.limits.areGiven == true)
    }

    @Test func `every option of run and exec that takes a value is known to the separation`() {
        for help in [
            RunCommand.helpMessage(columns: 400), ExecCommand.helpMessage(columns: 400),
            HostExecCommand.helpMessage(columns: 400),
        ] {
            for line in help.split(separator: "\n") where line.hasPrefix("  -") {
                let words = line.split(separator: " ").prefix { $0.hasPrefix("-") || $0.hasPrefix("<") }
                let takesValue = words.contains { $0.hasPrefix("<") }
                for word in words where word.hasPrefix("-") {
                    let name = String(word.prefix { $0 != "," })
                    #expect(ProgramArguments.optionsWithValues.contains(name) == takesValue, "\(name)")
                }
            }
        }
    }

    @Test(
        arguments: [("TERM", 15), ("sighup", 1), ("12", 12), ("KILL", 9), ("STOP", nil), ("", nil)]
            as [(String, Int32?)])
    func `signals have names and numbers`(text: String, number: Int32?) {
        #expect(KillCommand.number(of: text) == number)
    }

    @Test(arguments: [["run"], ["frobnicate"], ["cp", "a"], ["kernel", "use"]])
    func `wrong usage is refused`(words: [String]) {
        #expect(throws: (any Error).self) { _ = try SwiftletCommand.parseAsRoot(ProgramArguments.separated(words)) }
    }

    @Test(arguments: [CompletionShell.bash, .zsh, .fish])
    func `completions are made for each shell`(shell: CompletionShell) {
        let script = SwiftletCommand.completionScript(for: shell)
        #expect(script.contains("swiftlet") && script.contains("timeout"))
    }

    @Test func `the script for bash leaves each program's words alone`() {
        let script = SwiftletCommand.completionScript(for: .bash)
        let ours = ProgramArguments.sparingPrograms(inBash: script)
        #expect(ours.hasPrefix("#!/bin/bash\n"))
        #expect(ours.components(separatedBy: "    if __swiftlet_is_in_program; then return; fi\n").count == 4)
    }

    @Test func `the host's commands take --json`() throws {
        for verb in ["start", "stop", "status"] {
            #expect(throws: Never.self) { _ = try SwiftletCommand.parseAsRoot(["host", verb, "--json"]) }
        }
    }

    @Test func `a place with a colon before any slash is in a machine`() {
        #expect(CopyCommand.Place("web:/tmp") == .machine("web", path: "/tmp"))
        #expect(CopyCommand.Place("./web:/tmp") == .here("./web:/tmp"))
        #expect(CopyCommand.Place("/a:b") == .here("/a:b"))
        #expect(CopyCommand.Place(":x") == .here(":x"))
    }

    @Test func `later variables stand above earlier ones`() throws {
        let list = try EnvironmentList.merged(
            ["A=1", "B=2"], files: [], settings: ["A=3", "AB=4", "SURELY_NOT_SET_ANYWHERE"], hasTerminal: false)
        #expect(list == ["B=2", "A=3", "AB=4"])
        #expect(throws: CommandFailure.self) {
            try EnvironmentList.merged([], files: [], settings: ["=x"], hasTerminal: false)
        }
    }
}
