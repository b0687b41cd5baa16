import Agent

AgentMain.run()
