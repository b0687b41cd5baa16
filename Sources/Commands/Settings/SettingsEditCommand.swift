import ApplianceSettings
import ArgumentParser
import ChildProcesses
import HostFiles
import LinuxCalls

struct SettingsEditCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "edit", abstract: "Change settings in an editor.",
        discussion: """
            The editor is what VISUAL or EDITOR names, else vi. What the schema does not accept is shown in the editor again, or,
            without a terminal, refused. Nothing changes until all of it is accepted.

            Example:
              EDITOR=nano swiftlet settings edit fw
            """)
    @OptionGroup var confirmation: ConfirmationOptions
    @Argument(help: "The settings.", completion: Completions.settings) var name: String
    @OptionGroup var format: FormatOptions

    func run() throws {
        let named = try SettingsCommand.store.settings(name)
        let current = try named.current()
        let file = HostPath("\(Product.paths.settings)/.edit-\(processID()).json")
        defer { try? file.removeFile() }
        // The editor's Ctrl-C is not this command's.
        for signal in [SignalNumber.interrupt, SignalNumber.quit] { try ignoreSignal(signal) }
        var text = Self.text(of: current, name: name)
        while true {
            try file.replaceWhole(Array(text.utf8), mode: 0o600)
            try edit(file)
            let bytes = try SettingsCommand.read("\(file)")
            do {
                if bytes.elementsEqual(text.utf8), text.hasPrefix(Self.refusalMark) {
                    throw CommandFailure("settings.refused", "given up; nothing changed")
                }
                let document = try SettingsDocument.parse(bytes)
                let application = try SettingsApplication(named, confirmWithin: confirmation.confirmWithin)
                let (_, after) = try application.run { _, trial in
                    try named.change(expecting: current.number, confirmWithinSeconds: trial) {
                        now throws(SettingsError) in
                        try now.schema.restoringSecrets(document, from: now.settings)
                    }
                }
                return SettingsCommand.report(name, after, after: current.number, asJSON: format.isJSON)
            } catch let error as SettingsError
                where Terminal.isTerminal(0) && [.refused, .invalidText].contains(error.code)
            {
                text = Self.asking(again: String(decoding: bytes, as: UTF8.self), error.message)
            }
        }
    }

    private static let refusalMark = "// not accepted:"

    /// The document, with what is wrong with it above.
    static func asking(again text: String, _ message: String) -> String {
        let lines = message.split(separator: "\n").map { "//   " + Table.printable(String($0)) }
        let kept = text.split(separator: "\n", omittingEmptySubsequences: false).drop {
            $0.hasPrefix(refusalMark) || $0.hasPrefix("//   ")
        }
        return ([refusalMark] + lines + kept.map(String.init)).joined(separator: "\n")
    }

    /// What was set, and below what can be.
    static func text(of generation: SettingsGeneration, name: String) -> String {
        var lines = [
            "// The settings \(name), generation \(generation.number). Lines that begin with // mean nothing.",
            generation.schema.hidingSecrets(generation.settings).text, "//",
        ]
        for (path, field) in generation.schema.describedFields {
            let value = field.isRequired ? ", required" : field.defaultValue.map { ", default \($0.typedText)" } ?? ""
            let line =
                "// \(path): \(field.kind.summary)\(value)\(field.explanation.isEmpty ? "" : ". " + field.explanation)"
            lines.append(Table.printable(line))
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private func edit(_ file: HostPath) throws {
        let editor = try ForeignText.variable("VISUAL") ?? ForeignText.variable("EDITOR") ?? "vi"
        // As git and others do it: the variable may have options, and the file comes after them.
        var settings = ChildProcess.Settings(["/bin/sh", "-c", "\(editor) \"$1\"", "sh", "\(file)"])
        settings.descriptors = [0: 0, 1: 1, 2: 2]
        let ending = try ChildProcess(settings).wait()
        guard ending == .exited(0) else {
            throw CommandFailure(
                "settings.editor", "the editor \"\(editor)\" ended with \(ending.shellStatus); nothing changed")
        }
    }
}
