/// A topology as a picture: networks on the left, and a row for each machine, on which its appliances stand.
struct TopologyPicture {
    private static let (left, rowHeight, boxHeight, glyphWidth) = (20, 44, 28, 8)
    private let topology: Topology
    private var shapes: [String] = []
    private var (width, height) = (0, left)

    init(_ topology: Topology) {
        self.topology = topology
        for network in topology.networks { draw(network) }
        for passage in topology.between { draw(passage) }
    }

    /// Scalable Vector Graphics 1.1.
    var text: String {
        let size = "width=\"\(width + Self.left)\" height=\"\(height + Self.left)\""
        return """
            <svg xmlns="http://www.w3.org/2000/svg" \(size) font-family="monospace" font-size="13">
            <rect width="100%" height="100%" fill="#ffffff"/>
            \(shapes.joined(separator: "\n"))
            </svg>
            """
    }

    private mutating func draw(_ network: Topology.Network) {
        let rows = max(1, network.machines.count)
        let lines = [network.name, network.subnets.joined(separator: ", "), network.ways].filter { !$0.isEmpty }
        let boxWidth = Self.width(of: lines)
        let boxHeight = max(rows * Self.rowHeight - 12, lines.count * 18 + 14)
        box(Self.left, height, boxWidth, boxHeight, lines, fill: "#dbeafe")
        for (row, machine) in network.machines.enumerated() {
            let y = height + row * Self.rowHeight
            var x = Self.left + boxWidth
            for mark in machine.marks {
                wire(x, y)
                x += 30
                let width = Self.width(of: [mark])
                box(x, y, width, Self.boxHeight, [mark], fill: Self.fill(mark))
                x += width
            }
            wire(x, y)
            x += 30
            let words =
                (["\(machine.name):\(machine.interface)"] + machine.addresses + [machine.ports].compactMap { $0 })
                .joined(separator: " ")
            let width = Self.width(of: [words])
            box(x, y, width, Self.boxHeight, [words], fill: machine.isRunning ? "#dcfce7" : "#f3f4f6")
            x += width
            if let rates = machine.rates {
                shapes.append("<text x=\"\(x + 10)\" y=\"\(y + 19)\" fill=\"#6b7280\">\(Self.escaped(rates))</text>")
                x += 10 + Self.width(of: [rates])
            }
            self.width = max(self.width, x)
        }
        width = max(width, Self.left + boxWidth)
        height += max(boxHeight, rows * Self.rowHeight) + 16
    }

    private mutating func draw(_ passage: Topology.Passage) {
        var x = Self.left
        for (place, mark) in passage.marks.enumerated() {
            let isNetwork = place == 0 || place == passage.marks.count - 1
            if place > 0 {
                wire(x, height)
                x += 30
            }
            let width = Self.width(of: [mark])
            box(x, height, width, Self.boxHeight, [mark], fill: isNetwork ? "#dbeafe" : Self.fill(mark))
            x += width
        }
        width = max(width, x)
        height += Self.rowHeight
    }

    /// What traffic does not go through is grey.
    private static func fill(_ mark: String) -> String {
        mark.first == "(" || mark.first == "[" ? "#f3f4f6" : "#fde68a"
    }

    private mutating func wire(_ x: Int, _ y: Int) {
        let middle = y + Self.boxHeight / 2
        shapes.append(
            "<line x1=\"\(x)\" y1=\"\(middle)\" x2=\"\(x + 30)\" y2=\"\(middle)\" stroke=\"#6b7280\" stroke-width=\"2\"/>"
        )
    }

    private mutating func box(_ x: Int, _ y: Int, _ width: Int, _ height: Int, _ lines: [String], fill: String) {
        shapes.append(
            "<rect x=\"\(x)\" y=\"\(y)\" width=\"\(width)\" height=\"\(height)\" rx=\"5\" fill=\"\(fill)\" stroke=\"#374151\"/>"
        )
        for (place, line) in lines.enumerated() {
            shapes.append("<text x=\"\(x + 10)\" y=\"\(y + 19 + place * 18)\">\(Self.escaped(line))</text>")
        }
    }

    private static func width(of lines: [String]) -> Int { (lines.map(\.count).max() ?? 0) * glyphWidth + 20 }

    private static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
    }
}
